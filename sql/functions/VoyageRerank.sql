CREATE FUNCTION IF NOT EXISTS VoyageRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Voyage', '', '', '');

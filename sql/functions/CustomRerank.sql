CREATE FUNCTION IF NOT EXISTS CustomRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Custom', '', '', '');

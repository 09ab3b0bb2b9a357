CREATE FUNCTION IF NOT EXISTS CohereRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Cohere', '', '', '');

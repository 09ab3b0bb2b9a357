CREATE FUNCTION IF NOT EXISTS GoogleRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Google', '', '', '');

CREATE FUNCTION IF NOT EXISTS NIMRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'NIM', '', '', '');

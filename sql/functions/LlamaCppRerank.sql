CREATE FUNCTION IF NOT EXISTS LlamaCppRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'LlamaCpp', '', '', '');

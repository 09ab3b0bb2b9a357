CREATE FUNCTION IF NOT EXISTS OpenRouterRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'OpenRouter', '', '', '');

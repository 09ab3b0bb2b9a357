CREATE FUNCTION IF NOT EXISTS LiteLLMRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'LiteLLM', '', '', '');

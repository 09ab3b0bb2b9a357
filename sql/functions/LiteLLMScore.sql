CREATE FUNCTION IF NOT EXISTS LiteLLMScore AS (query, document) ->
    RerankScore(query, document, 'LiteLLM', '', '', '');

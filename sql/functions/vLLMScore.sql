CREATE FUNCTION IF NOT EXISTS vLLMScore AS (query, document) ->
    RerankScore(query, document, 'vLLM', '', '', '');

CREATE FUNCTION IF NOT EXISTS OpenRouterScore AS (query, document) ->
    RerankScore(query, document, 'OpenRouter', '', '', '');

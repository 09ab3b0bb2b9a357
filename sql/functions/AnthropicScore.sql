CREATE FUNCTION IF NOT EXISTS AnthropicScore AS (query, document) ->
    RerankScore(query, document, 'Anthropic', '', '', '');

CREATE FUNCTION IF NOT EXISTS OpenAIScore AS (query, document) ->
    RerankScore(query, document, 'OpenAI', '', '', '');

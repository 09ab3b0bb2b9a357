CREATE FUNCTION IF NOT EXISTS LocalAIScore AS (query, document) ->
    RerankScore(query, document, 'LocalAI', '', '', '');

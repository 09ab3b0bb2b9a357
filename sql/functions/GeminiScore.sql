CREATE FUNCTION IF NOT EXISTS GeminiScore AS (query, document) ->
    RerankScore(query, document, 'Gemini', '', '', '');

CREATE FUNCTION IF NOT EXISTS XinferenceScore AS (query, document) ->
    RerankScore(query, document, 'Xinference', '', '', '');

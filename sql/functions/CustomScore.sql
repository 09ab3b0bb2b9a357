CREATE FUNCTION IF NOT EXISTS CustomScore AS (query, document) ->
    RerankScore(query, document, 'Custom', '', '', '');

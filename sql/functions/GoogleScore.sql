CREATE FUNCTION IF NOT EXISTS GoogleScore AS (query, document) ->
    RerankScore(query, document, 'Google', '', '', '');

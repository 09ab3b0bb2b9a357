CREATE FUNCTION IF NOT EXISTS TypeSafeScore AS (query, document) ->
    RerankScore(query, document, 'TypeSafe', '', '', '');

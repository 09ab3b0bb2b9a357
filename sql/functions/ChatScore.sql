CREATE FUNCTION IF NOT EXISTS ChatScore AS (query, document) ->
    RerankScore(query, document, 'Chat', '', '', '');

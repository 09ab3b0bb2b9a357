CREATE FUNCTION IF NOT EXISTS NIMScore AS (query, document) ->
    RerankScore(query, document, 'NIM', '', '', '');

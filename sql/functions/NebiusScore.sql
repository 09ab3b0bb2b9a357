CREATE FUNCTION IF NOT EXISTS NebiusScore AS (query, document) ->
    RerankScore(query, document, 'Nebius', '', '', '');

CREATE FUNCTION IF NOT EXISTS FireworksScore AS (query, document) ->
    RerankScore(query, document, 'Fireworks', '', '', '');

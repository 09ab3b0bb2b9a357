CREATE FUNCTION IF NOT EXISTS VoyageScore AS (query, document) ->
    RerankScore(query, document, 'Voyage', '', '', '');

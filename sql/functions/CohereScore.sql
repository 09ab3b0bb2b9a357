CREATE FUNCTION IF NOT EXISTS CohereScore AS (query, document) ->
    RerankScore(query, document, 'Cohere', '', '', '');

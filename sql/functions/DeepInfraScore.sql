CREATE FUNCTION IF NOT EXISTS DeepInfraScore AS (query, document) ->
    RerankScore(query, document, 'DeepInfra', '', '', '');

CREATE FUNCTION IF NOT EXISTS SageMakerScore AS (query, document) ->
    RerankScore(query, document, 'SageMaker', '', '', '');

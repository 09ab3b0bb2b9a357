CREATE FUNCTION IF NOT EXISTS SageMakerRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'SageMaker', '', '', '');

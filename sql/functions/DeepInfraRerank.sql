CREATE FUNCTION IF NOT EXISTS DeepInfraRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'DeepInfra', '', '', '');

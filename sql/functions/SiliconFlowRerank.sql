CREATE FUNCTION IF NOT EXISTS SiliconFlowRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'SiliconFlow', '', '', '');

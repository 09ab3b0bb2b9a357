CREATE FUNCTION IF NOT EXISTS SiliconFlowScore AS (query, document) ->
    RerankScore(query, document, 'SiliconFlow', '', '', '');

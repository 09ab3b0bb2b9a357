CREATE FUNCTION IF NOT EXISTS DashScopeScore AS (query, document) ->
    RerankScore(query, document, 'DashScope', '', '', '');

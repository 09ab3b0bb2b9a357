CREATE FUNCTION IF NOT EXISTS DashScopeRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'DashScope', '', '', '');

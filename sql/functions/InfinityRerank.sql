CREATE FUNCTION IF NOT EXISTS InfinityRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Infinity', '', '', '');

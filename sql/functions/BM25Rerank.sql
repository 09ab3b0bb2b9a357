CREATE FUNCTION IF NOT EXISTS BM25Rerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'BM25', '', '', '');

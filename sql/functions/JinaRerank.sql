CREATE FUNCTION IF NOT EXISTS JinaRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Jina', '', '', '');

CREATE FUNCTION IF NOT EXISTS TogetherRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Together', '', '', '');

CREATE FUNCTION IF NOT EXISTS FireworksRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Fireworks', '', '', '');

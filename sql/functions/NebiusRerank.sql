CREATE FUNCTION IF NOT EXISTS NebiusRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Nebius', '', '', '');

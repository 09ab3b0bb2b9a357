CREATE FUNCTION IF NOT EXISTS VercelRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Vercel', '', '', '');

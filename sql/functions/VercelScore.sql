CREATE FUNCTION IF NOT EXISTS VercelScore AS (query, document) ->
    RerankScore(query, document, 'Vercel', '', '', '');

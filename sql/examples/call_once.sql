-- If all arguments are constants, ClickHouse evaluates Rerank while it analyzes the query: once for each use of the call's
-- alias, and also for EXPLAIN, DESCRIBE and CREATE VIEW. It does not do this if one of the arguments is a column.
-- Each query below calls Rerank once.

-- This query is different: it uses the alias again, so it sends two requests, unless the worker still remembers the first.
--     SELECT Rerank('tea or coffee', ['green tea', 'black coffee'], 2,
--         'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '') AS best,
--         best[1].2 AS first, best.3 AS scores;

-- With a subquery.
SELECT best[1].2 AS first, best.3 AS scores
FROM (
    SELECT Rerank('tea from Uji', ['green tea from Uji', 'black tea'], 2,
        'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '') AS best
);

-- With a scalar subquery.
WITH (
    SELECT Rerank('tea from Assam', ['green tea', 'black tea from Assam'], 2,
        'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '')
) AS best
SELECT best[1].2 AS first, best.3 AS scores;

-- With one row per document.
SELECT r.1 AS index, r.2 AS document, r.3 AS score
FROM (SELECT 1)
ARRAY JOIN Rerank('coffee from Kona', ['coffee from Kona', 'cold coffee'], 2,
    'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '') AS r;

-- With a constant that ClickHouse treats as a column.
SELECT Rerank(materialize('cold coffee please'), ['hot coffee', 'cold coffee'], 2,
    'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '') AS best,
    best[1].2 AS first, best.3 AS scores;

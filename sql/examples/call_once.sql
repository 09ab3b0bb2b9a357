-- With nothing but constants as arguments, ClickHouse evaluates Rerank while it reads the query: again where an alias of
-- the call is used again, and for EXPLAIN, DESCRIBE and CREATE VIEW too. With a column among the arguments it does not.
-- Each of the spellings below calls once.

-- Not so this one: the alias is used again, and two requests leave, but for a worker that remembers the first for seconds.
--     SELECT Rerank('tea or coffee', ['green tea', 'black coffee'], 2,
--         'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '') AS best,
--         best[1].2 AS first, best.3 AS scores;

-- In a subquery.
SELECT best[1].2 AS first, best.3 AS scores
FROM (
    SELECT Rerank('tea from Uji', ['green tea from Uji', 'black tea'], 2,
        'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '') AS best
);

-- As a scalar subquery.
WITH (
    SELECT Rerank('tea from Assam', ['green tea', 'black tea from Assam'], 2,
        'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '')
) AS best
SELECT best[1].2 AS first, best.3 AS scores;

-- One row per document.
SELECT r.1 AS index, r.2 AS document, r.3 AS score
FROM (SELECT 1)
ARRAY JOIN Rerank('coffee from Kona', ['coffee from Kona', 'cold coffee'], 2,
    'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '') AS r;

-- With a constant that is none to ClickHouse.
SELECT Rerank(materialize('cold coffee please'), ['hot coffee', 'cold coffee'], 2,
    'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '') AS best,
    best[1].2 AS first, best.3 AS scores;

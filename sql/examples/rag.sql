-- Retrieval for one question: the index finds 50 candidates, Rerank keeps 5, and their ids join back to the table.
-- r.1 counts from 0, but arrays of ClickHouse count from 1. Needs articles.sql.
WITH
    candidates AS (
        SELECT groupArray(id) AS ids, groupArray(text) AS texts
        FROM (
            SELECT id, text
            FROM rerank_examples.articles
            ORDER BY cosineDistance(embedding, example_embedding('wind power storage for nights'))
            LIMIT 50
        )
    ),
    best AS (
        SELECT ids[r.1 + 1] AS id, r.3 AS score
        FROM candidates
        ARRAY JOIN Rerank('wind power storage for nights', texts, 5,
            'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '{"model": "rerank-v3.5"}') AS r
    )
SELECT articles.id AS id, articles.text AS text, best.score AS score
FROM best
INNER JOIN rerank_examples.articles AS articles ON articles.id = best.id
ORDER BY score DESC, id;

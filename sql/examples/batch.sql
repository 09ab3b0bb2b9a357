-- Many questions in one query, one row each: their requests run concurrently. Needs articles.sql.
-- A vector index works for a constant vector only, so ClickHouse computes the distances to many questions in full.
DROP TABLE IF EXISTS rerank_examples.questions;

CREATE TABLE rerank_examples.questions (id UInt32, question String) ENGINE = MergeTree ORDER BY id;

INSERT INTO rerank_examples.questions
VALUES (1, 'solar power is cheap'), (2, 'fish and tidal power'), (3, 'coal power was taxed');

SELECT question_id, ids[r.1 + 1] AS id, r.2 AS text, r.3 AS score
FROM (
    SELECT question_id, any(question) AS question,
           arraySort(c -> c.1, groupArray((distance, id, text))) AS found, found.2 AS ids, found.3 AS texts
    FROM (
        SELECT q.id AS question_id, q.question AS question, a.id AS id, a.text AS text,
               cosineDistance(a.embedding, example_embedding(q.question)) AS distance
        FROM rerank_examples.questions AS q
        CROSS JOIN rerank_examples.articles AS a
        ORDER BY question_id, distance, id
        LIMIT 20 BY question_id
    )
    GROUP BY question_id
)
ARRAY JOIN Rerank(question, texts, 2,
    'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '{"model": "rerank-v3.5"}') AS r
ORDER BY question_id, score DESC, id;

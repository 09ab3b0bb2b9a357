-- Candidates from vector search and from text search, merged without duplicates and ranked by one model. The scores of
-- the two searches need not be comparable. Needs articles.sql.
SELECT ids[r.1 + 1] AS id, r.2 AS text, found_by[r.1 + 1] AS found_by, r.3 AS score
FROM (
    SELECT groupArray(id) AS ids, groupArray(text) AS texts, groupArray(by) AS found_by
    FROM (
        SELECT id, any(text) AS text, arraySort(groupArray(by)) AS by
        FROM (
            SELECT id, text, 'vector' AS by
            FROM (
                SELECT id, text
                FROM rerank_examples.articles
                ORDER BY cosineDistance(embedding, example_embedding('what did the wind plant cost in 1921'))
                LIMIT 10
            )
            UNION ALL
            SELECT id, text, 'text' AS by
            FROM (SELECT id, text FROM rerank_examples.articles WHERE hasToken(text, '1921') ORDER BY id LIMIT 10)
        )
        GROUP BY id
        ORDER BY id
    )
)
ARRAY JOIN Rerank('what did the wind plant cost in 1921', texts, 4,
    'Jina', 'https://api.jina.ai/v1/rerank', 'YOUR_JINA_API_KEY', '') AS r
ORDER BY score DESC, id;

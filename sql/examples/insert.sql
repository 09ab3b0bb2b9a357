-- Store results in a table. Needs articles.sql.

-- As an array of named tuples, one per document. The column's type gives the names.
DROP TABLE IF EXISTS rerank_examples.answers;

CREATE TABLE rerank_examples.answers (
    question String,
    best Array(Tuple(index UInt32, document String, score Float32))
) ENGINE = MergeTree ORDER BY question;

INSERT INTO rerank_examples.answers
SELECT 'nuclear power plant' AS question, Rerank(question, texts, 2, 'BM25', '', '', '')
FROM (SELECT groupArray(text) AS texts FROM (SELECT text FROM rerank_examples.articles ORDER BY id));

SELECT question, best[1].document AS first, best.index AS indexes, arrayMap(s -> round(s, 3), best.score) AS scores
FROM rerank_examples.answers;

-- As one row per document.
DROP TABLE IF EXISTS rerank_examples.ranked;

CREATE TABLE rerank_examples.ranked (question String, rank UInt8, id UInt32, score Float32)
ENGINE = MergeTree ORDER BY (question, rank);

INSERT INTO rerank_examples.ranked
SELECT 'tram lines' AS question, rank, ids[r.1 + 1], r.3
FROM (
    SELECT ids, Rerank('tram lines', texts, 3, 'BM25', '', '', '') AS best
    FROM (
        SELECT groupArray(id) AS ids, groupArray(text) AS texts
        FROM (SELECT id, text FROM rerank_examples.articles ORDER BY id)
    )
)
ARRAY JOIN best AS r, arrayEnumerate(best) AS rank;

SELECT question, rank, id, round(score, 3) AS score FROM rerank_examples.ranked ORDER BY rank;

-- The table for rag.sql, batch.sql, hybrid.sql and insert.sql: 60 short texts with an HNSW index. The examples make tables in a
-- database of their own and functions whose names begin with Example or example, so they change nothing of yours. To remove
-- the tables: DROP DATABASE rerank_examples
CREATE DATABASE IF NOT EXISTS rerank_examples;

-- This function replaces an embedding model so that the examples need none: it hashes triples of letters into 64
-- dimensions. In production, fill the column from your model and pass the question's embedding as a constant array.
CREATE OR REPLACE FUNCTION example_embedding AS (text) ->
    arrayMap(
        grams -> arrayMap(slot -> toFloat32(countEqual(grams, slot) - countEqual(grams, slot + 64)), range(64)),
        [arrayMap(gram -> cityHash64(gram) % 128, ngrams(concat(' ', lower(text), ' '), 3))]
    )[1];

DROP TABLE IF EXISTS rerank_examples.articles;

CREATE TABLE rerank_examples.articles (
    id UInt32,
    text String,
    embedding Array(Float32) DEFAULT example_embedding(text),
    INDEX nearest embedding TYPE vector_similarity('hnsw', 'cosineDistance', 64) GRANULARITY 100000000
) ENGINE = MergeTree ORDER BY id;

INSERT INTO rerank_examples.articles (id, text)
SELECT rowNumberInAllBlocks() + 1, concat(source, ' power ', fact)
FROM (SELECT ['wind', 'solar', 'hydro', 'tidal', 'nuclear', 'coal'] AS sources,
             ['needs storage for quiet nights', 'is cheap once the plant is paid for', 'came to the village in 1921',
              'feeds the tram lines of the city', 'asks for long cables', 'was taxed for the first time last year',
              'has few moving parts to repair', 'disturbs fish and birds a little', 'starts within minutes',
              'is taught in the third year'] AS facts)
ARRAY JOIN sources AS source
ARRAY JOIN facts AS fact
SETTINGS max_threads = 1;

SELECT count() AS articles, length(any(embedding)) AS dimensions FROM rerank_examples.articles;

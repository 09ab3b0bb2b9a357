-- What becomes of a ranking: `ranked` is the result of Rerank, Array(Tuple(UInt32, String, Float32)), best first.

-- rerankNamed(ranked): the same with the names index, document and score, for r.score in place of r.3.
-- SELECT r.score FROM (SELECT 1) ARRAY JOIN rerankNamed(BM25Rerank('b', ['a', 'b'], 1)) AS r
CREATE FUNCTION IF NOT EXISTS rerankNamed AS (ranked) ->
    CAST(ranked, 'Array(Tuple(index UInt32, document String, score Float32))');

-- rerankRows(rows, ranked): your own columns in the ranking's order, each row with its score behind it. `rows` has a
-- tuple for each document, as groupArray((id, title)) makes them beside groupArray(text).
-- SELECT rerankRows([(7, 'a title'), (9, 'another')], BM25Rerank('b', ['a', 'b'], 2))
CREATE FUNCTION IF NOT EXISTS rerankRows AS (rows, ranked) ->
    arrayMap((columns, best) -> arrayMap(r -> tupleConcat(columns[r.1 + 1], tuple(r.3)), best), [rows], [ranked])[1];

-- rerankBestPer(parents, ranked, k): the best k of the ranking with at most one document of each parent, its best.
-- `parents` has for each document what it is a passage of. Ask Rerank for all of them: top_k = length(documents).
-- SELECT rerankBestPer(['x', 'x', 'y'], BM25Rerank('b', ['b', 'b b', 'b c'], 3), 2)
CREATE FUNCTION IF NOT EXISTS rerankBestPer AS (parents, ranked, k) ->
    arrayMap((each, best, most) -> arraySlice(arrayMap(one -> one.1, arrayFilter(
        one -> one.2,
        arrayMap(ps -> arrayMap((r, parent, place) -> (r, indexOf(ps, parent) = place), best, ps, arrayEnumerate(ps)),
            [arrayMap(r -> each[r.1 + 1], best)])[1]
    )), 1, most), [parents], [ranked], [greatest(k, 0)])[1];

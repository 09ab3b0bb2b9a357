-- The caller's own rows in the order of a ranking, with their scores: nobody has to write ids[r.1 + 1].
--   rows    Array of any type, one element per document and in the order of the documents: ids, or tuples of columns.
--           groupArray leaves NULL out, so gather rows and documents from the same rows without NULL.
--   ranked  What Rerank returned for these documents.
-- Result: Array(Tuple(row, score)), best first: r.row (r.row.1 for a tuple) and r.score. A score of NaN says that the
-- document was not scored; such rows are last. rerankRows(grades, ranked).row is what the measures take.
-- Source: the result of Rerank, whose index counts from 0.
-- Example: rerankRows(['x', 'y'], [(1, 'b', 0.5), (0, 'a', 0.25)]) = [('y', 0.5), ('x', 0.25)]
CREATE FUNCTION IF NOT EXISTS rerankRows AS (rows, ranked) ->
    arrayMap((rows_, ranked_) -> CAST(
            arrayMap(one_ -> (rows_[one_.1 + 1 + throwIf(one_.1 >= length(rows_),
                'rerankRows: rows has fewer elements than the documents had. Gather both from one query')], one_.3),
                ranked_),
            concat('Array(Tuple(row ', toTypeName(rows_[1]), ', score ', toTypeName(ranked_[1].3), '))')),
        [rows], [ranked])[1];

-- A ranking with names for its columns.
--   ranked  What Rerank returned.
-- Result: Array(Tuple(index UInt32, document String, score Float32)): r.index, r.document and r.score.
-- Source: the result of Rerank, whose index counts from 0.
-- Example: rerankNamed([(1, 'b', 0.5)])[1].document = 'b'
CREATE FUNCTION IF NOT EXISTS rerankNamed AS (ranked) ->
    CAST(ranked, 'Array(Tuple(index UInt32, document String, score Float32))');

-- The best k parents of a ranking of passages, each by its best passage.
--   parents  Array of any type, one element per document and in the order of the documents: the id of its parent.
--            Documents whose parent is NULL count as one parent.
--   ranked   What Rerank returned for these documents, with a top_k of all of them.
--   k        Integer: how many parents to keep. NULL or less than 1: none.
-- Result: the kept elements of ranked, best first, which rerankRows takes too. A parent none of whose passages was
-- scored is last, with NaN.
-- Source: the max-passage rule (Dai and Callan 2019, MaxP).
-- Example: rerankBestPer(['p', 'q', 'p'], [(2, 'c', 0.9), (0, 'a', 0.8), (1, 'b', 0.5)], 2).1 = [2, 1]
CREATE FUNCTION IF NOT EXISTS rerankBestPer AS (parents, ranked, k) ->
    arrayMap((parents_, ranked_, k_) -> arraySlice(
            arrayFilter((one_, times_) -> times_ = 1, ranked_, arrayEnumerateUniq(
                arrayMap(one_ -> parents_[one_.1 + 1 + throwIf(one_.1 >= length(parents_),
                    'rerankBestPer: parents has fewer elements than the documents had. Gather both from one query')],
                    ranked_))),
            1, k_),
        [parents], [ranked], [greatest(ifNull(k, 0), 0)])[1];

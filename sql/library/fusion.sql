-- Weighted sum of the scores that several rankings give a document. A ranking without the document adds 0.
--   ids      Array of arrays of ids: one array per ranking. NULL is left out. If an id is in a ranking twice, its best
--            score counts.
--   scores   Array of arrays of numbers: the scores of ids, in the same order. NULL, NaN and infinite ones are left
--            out: a document that was not scored counts as missing from that ranking.
--   weights  Array of numbers, one per ranking, else an error; [] means 1 for each.
-- Result: Array(Tuple(id, score Float64)), highest score first, equal scores by id.
-- Source: CombSUM (Fox and Shaw 1994); ranx.fuse 'wsum' without normalisation.
-- Example: rerankFuseSum([['a', 'b'], ['b']], [[3, 1], [1]], [1, 0.5]) = [('a', 3), ('b', 1.5)]
CREATE FUNCTION IF NOT EXISTS rerankFuseSum AS (ids, scores, weights) ->
    arrayMap((ids_, scores_, weights_) ->
            arrayMap(lists_ -> arrayMap(sums_ -> CAST(
                        arraySort(one_ -> (-one_.2, one_.1),
                            arrayZip(arrayMap(id_ -> assumeNotNull(id_), sums_.1), sums_.2)),
                        concat('Array(Tuple(id ', toTypeName(assumeNotNull(sums_.1[1])), ', score Float64))')),
                    -- sumMap leaves out keys whose sums are all 0: the third array counts.
                    [arrayReduce('sumMap', lists_.1, lists_.2, lists_.3)])[1],
                [arrayMap((list_, values_, weight_) ->
                        arrayMap(best_ -> (best_.1, arrayMap(score_ -> score_ * weight_, best_.2),
                                arrayMap(score_ -> 1, best_.2)),
                            [arrayReduce('maxMap',
                                [arrayFilter((id_, score_) -> isNotNull(id_) AND isFinite(score_), list_, values_)],
                                [arrayFilter((score_, id_) -> isNotNull(id_) AND isFinite(score_), values_, list_)]
                            )])[1],
                    ids_, scores_, arrayResize(weights_, length(ids_)
                        + throwIf(notEmpty(weights_) AND length(weights_) != length(ids_),
                            'rerankFuse: give one weight for each ranking, or [] for 1 each'), 1))])[1],
        [ids], [arrayMap(list_ -> arrayMap(score_ -> ifNull(score_, nan), list_),
            CAST(scores, 'Array(Array(Nullable(Float64)))'))], [CAST(weights, 'Array(Float64)')])[1];

-- Reciprocal rank fusion: each ranking gives a document 1 / (k + rank), where rank counts from 1.
--   lists  Array of arrays of ids, best first: one array per ranking. NULL is left out, but keeps its rank. If an id is
--          in a ranking twice, the first counts.
--   k      Number of 0 or more, 60 for NULL: the larger, the less the first ranks stand out.
-- Result: Array(Tuple(id, score Float64)), highest score first, equal scores by id.
-- Source: Cormack, Clarke and Büttcher 2009; Elasticsearch's rrf retriever (rank_constant); ranx.fuse 'rrf'.
-- Example: rerankFuseRRF([['a', 'b'], ['b', 'c']], 60).id = ['b', 'a', 'c']
CREATE FUNCTION IF NOT EXISTS rerankFuseRRF AS (lists, k) ->
    arrayMap((lists_, k_) -> rerankFuseSum(lists_,
            arrayMap(list_ -> arrayMap(rank_ -> 1 / (k_ + rank_), arrayEnumerate(list_)), lists_), []),
        [lists], [ifNull(k, 60)])[1];

-- Scores from 0, the lowest, to 1, the highest.
--   scores  Array of numbers. NULL, NaN and infinite ones do not count and become NaN.
-- Result: Array(Float64), in the same order. If all scores are equal, they become 1.
-- Source: Weaviate's relativeScoreFusion. For equal scores, ranx gives 0 and Elasticsearch leaves them as they are.
-- Example: rerankMinMax([1, 8, 6, 11]) = [0, 0.7, 0.5, 1]
CREATE FUNCTION IF NOT EXISTS rerankMinMax AS (scores) ->
    arrayMap(scores_ -> arrayMap((low_, high_) -> arrayMap(score_ ->
                    multiIf(NOT isFinite(score_), nan, low_ = high_, 1, (score_ - low_) / (high_ - low_)), scores_),
                [arrayMin(arrayFilter(score_ -> isFinite(score_), scores_))],
                [arrayMax(arrayFilter(score_ -> isFinite(score_), scores_))])[1],
        [arrayMap(score_ -> ifNull(score_, nan), CAST(scores, 'Array(Nullable(Float64))'))])[1];

-- Scores as distances from their mean, in standard deviations of the population.
--   scores  Array of numbers. NULL, NaN and infinite ones do not count and become NaN.
-- Result: Array(Float64), in the same order. If all scores are equal, they become 0.
-- Source: ZMUV normalisation (Montague and Aslam 2001); ranx.fuse norm 'zmuv'.
-- Example: rerankZScore([1, 3]) = [-1, 1]
CREATE FUNCTION IF NOT EXISTS rerankZScore AS (scores) ->
    arrayMap(scores_ -> arrayMap((mean_, deviation_) -> arrayMap(score_ ->
                    multiIf(NOT isFinite(score_), nan, deviation_ = 0, 0, (score_ - mean_) / deviation_), scores_),
                [arrayAvg(arrayFilter(score_ -> isFinite(score_), scores_))],
                [arrayReduce('stddevPopStable', arrayFilter(score_ -> isFinite(score_), scores_))])[1],
        [arrayMap(score_ -> ifNull(score_, nan), CAST(scores, 'Array(Nullable(Float64))'))])[1];

-- Scores on a scale whose 0 is three standard deviations of the sample below their mean, and whose 1 is three above.
--   scores  Array of numbers. NULL, NaN and infinite ones do not count and become NaN.
-- Result: Array(Float64), in the same order; a score far from the others can be outside of 0 to 1. If there is one
-- score, or all are equal, they become 0.5.
-- Source: distribution-based score fusion (Mazzeschi 2023) as Qdrant has it.
-- Example: arrayMap(x -> round(x, 4), rerankThreeSigma([1, 3])) = [0.3821, 0.6179]
CREATE FUNCTION IF NOT EXISTS rerankThreeSigma AS (scores) ->
    arrayMap(scores_ -> arrayMap((mean_, deviation_) -> arrayMap(score_ ->
                    multiIf(NOT isFinite(score_), nan, NOT isFinite(deviation_) OR deviation_ = 0, 0.5,
                        (score_ - mean_) / (6 * deviation_) + 0.5), scores_),
                [arrayAvg(arrayFilter(score_ -> isFinite(score_), scores_))],
                [arrayReduce('stddevSampStable', arrayFilter(score_ -> isFinite(score_), scores_))])[1],
        [arrayMap(score_ -> ifNull(score_, nan), CAST(scores, 'Array(Nullable(Float64))'))])[1];

-- Weighted sum after min-max normalisation of each ranking: rerankFuseSum of rerankMinMax.
--   ids, scores, weights  As in rerankFuseSum.
-- Result: Array(Tuple(id, score Float64)), highest score first, equal scores by id.
-- Source: Weaviate's relativeScoreFusion; Elasticsearch's linear retriever with minmax; ranx.fuse 'wsum', 'min-max'.
-- Example: rerankFuseMinMax([['a', 'b'], ['b']], [[9, 1], [4]], [0.5, 0.5]) = [('a', 0.5), ('b', 0.5)]
CREATE FUNCTION IF NOT EXISTS rerankFuseMinMax AS (ids, scores, weights) ->
    rerankFuseSum(ids, arrayMap(list_ -> rerankMinMax(list_), CAST(scores, 'Array(Array(Nullable(Float64)))')),
        weights);

-- Weighted sum after z-score normalisation of each ranking: rerankFuseSum of rerankZScore. A document that is missing
-- from a ranking counts there as an average one.
--   ids, scores, weights  As in rerankFuseSum.
-- Result: Array(Tuple(id, score Float64)), highest score first, equal scores by id.
-- Source: ranx.fuse 'wsum' with 'zmuv'.
-- Example: rerankFuseZScore([['a', 'b'], ['b', 'c']], [[9, 1], [4, 2]], [1, 1]) = [('a', 1), ('b', 0), ('c', -1)]
CREATE FUNCTION IF NOT EXISTS rerankFuseZScore AS (ids, scores, weights) ->
    rerankFuseSum(ids, arrayMap(list_ -> rerankZScore(list_), CAST(scores, 'Array(Array(Nullable(Float64)))')),
        weights);

-- Distribution-based score fusion: rerankFuseSum of rerankThreeSigma.
--   ids, scores, weights  As in rerankFuseSum.
-- Result: Array(Tuple(id, score Float64)), highest score first, equal scores by id.
-- Source: Mazzeschi 2023; Qdrant's dbsf, which has no weights (give []).
-- Example: rerankFuseDBSF([['a', 'b'], ['b']], [[9, 1], [4]], []).id = ['b', 'a']
CREATE FUNCTION IF NOT EXISTS rerankFuseDBSF AS (ids, scores, weights) ->
    rerankFuseSum(ids, arrayMap(list_ -> rerankThreeSigma(list_), CAST(scores, 'Array(Array(Nullable(Float64)))')),
        weights);

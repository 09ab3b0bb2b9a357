-- One ranking from several. `lists` is an array of rankings, each an array of ids, best first; `scores` is an array of
-- their scores, in the same shape; `weights` has a number for each list. The result is Array(Tuple(id, Float64)), best
-- first; of equal scores, the id that comes first in `lists` is first. A document that a list does not have, or whose
-- score there is NaN, NULL or infinite, gets nothing from that list. An id that stands twice in a list counts where it
-- stands first.

-- rerankFuseRRF(lists, k): reciprocal rank fusion: the sum of 1 / (k + place). k is 60 in most systems, as in
-- Elasticsearch's rank_constant; a smaller one favours the first places. G. Cormack, C. Clarke and S. Buettcher,
-- "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", 2009.
-- SELECT rerankFuseRRF([['a', 'b'], ['b', 'c']], 60)
CREATE FUNCTION IF NOT EXISTS rerankFuseRRF AS (lists, k) ->
    arrayMap((ls, constant) -> arrayMap(
        fused -> arraySort((one, place) -> (-one.2, place), fused, arrayEnumerate(fused)),
        [arrayMap(id -> (id, arraySum(arrayMap(
            ids -> if(has(ids, id), 1 / (constant + indexOf(ids, id)), 0.), ls
        ))), arrayDistinct(arrayFlatten(ls)))]
    )[1], [lists], [k])[1];

-- rerankFuseSum(lists, scores, weights): the weighted sum of the scores as they are.
-- SELECT rerankFuseSum([['a', 'b'], ['b', 'c']], [[0.9, 0.1], [0.8, 0.2]], [1, 1])
CREATE FUNCTION IF NOT EXISTS rerankFuseSum AS (lists, scores, weights) ->
    arrayMap((ls, ss, ws) -> arrayMap(
        fused -> arraySort((one, place) -> (-one.2, place), fused, arrayEnumerate(fused)),
        [arrayMap(id -> (id, arraySum(arrayMap(
            (ids, values, weight) -> if(has(ids, id) AND isFinite(ifNull(values[indexOf(ids, id)], nan)),
                weight * assumeNotNull(values[indexOf(ids, id)]), 0.), ls, ss, ws
        ))), arrayDistinct(arrayFlatten(ls)))]
    )[1], [lists], [CAST(scores, 'Array(Array(Nullable(Float64)))')],
        [CAST(weights, 'Array(Float64)')])[1];

-- rerankMinMax(values): the values from 0 (the lowest) to 1 (the highest); 1 for each if all are equal. NaN, NULL and
-- infinite values become NaN.
-- SELECT rerankMinMax([3, 1, 2])
CREATE FUNCTION IF NOT EXISTS rerankMinMax AS (values) ->
    arrayMap(vs -> arrayMap(
        (low, high) -> arrayMap(x -> if(NOT isFinite(x), nan, if(high > low, (x - low) / (high - low), 1.)), vs),
        [arrayMin(arrayFilter(x -> isFinite(x), vs))], [arrayMax(arrayFilter(x -> isFinite(x), vs))]
    )[1], [arrayMap(v -> ifNull(v, nan), CAST(values, 'Array(Nullable(Float64))'))])[1];

-- rerankZScore(values): how many standard deviations each value is above the mean; 0 for each if all are equal. NaN,
-- NULL and infinite values become NaN.
-- SELECT rerankZScore([3, 1, 2])
CREATE FUNCTION IF NOT EXISTS rerankZScore AS (values) ->
    arrayMap(vs -> arrayMap(
        (mean, deviation) -> arrayMap(
            x -> if(NOT isFinite(x), nan, if(deviation > 0, (x - mean) / deviation, 0.)), vs),
        [arrayAvg(arrayFilter(x -> isFinite(x), vs))],
        [arrayReduce('stddevPopStable', arrayFilter(x -> isFinite(x), vs))]
    )[1], [arrayMap(v -> ifNull(v, nan), CAST(values, 'Array(Nullable(Float64))'))])[1];

-- rerankFuseMinMax(lists, scores, weights): the weighted sum after rerankMinMax of each list. Weaviate's relative score
-- fusion, Elasticsearch's linear retriever with the normalizer minmax.
-- SELECT rerankFuseMinMax([['a', 'b'], ['b', 'c']], [[9, 1], [0.8, 0.2]], [1, 1])
CREATE FUNCTION IF NOT EXISTS rerankFuseMinMax AS (lists, scores, weights) ->
    rerankFuseSum(lists, arrayMap(own -> rerankMinMax(own), scores), weights);

-- rerankFuseZScore(lists, scores, weights): the weighted sum after rerankZScore of each list. A document that a list
-- does not have counts as average there.
-- SELECT rerankFuseZScore([['a', 'b'], ['b', 'c']], [[9, 1], [0.8, 0.2]], [1, 1])
CREATE FUNCTION IF NOT EXISTS rerankFuseZScore AS (lists, scores, weights) ->
    rerankFuseSum(lists, arrayMap(own -> rerankZScore(own), scores), weights);

-- rerankFuseDBSF(lists, scores, weights): distribution-based score fusion: the weighted sum after each list is scaled
-- so that three standard deviations below its mean are 0 and three above are 1. A list whose scores are all equal has
-- 0.5 for each. M. Mazzeschi, "Distribution-based score fusion", 2023.
-- SELECT rerankFuseDBSF([['a', 'b'], ['b', 'c']], [[9, 1], [0.8, 0.2]], [1, 1])
CREATE FUNCTION IF NOT EXISTS rerankFuseDBSF AS (lists, scores, weights) ->
    rerankFuseSum(lists,
        arrayMap(own -> arrayMap(z -> 0.5 + z / 6, rerankZScore(own)), scores),
        weights);

-- How well a ranking answers, as trec_eval counts it. `grades` are the grades of the ranked documents, best document
-- first; `judged` are the grades of all documents that somebody judged for the question, in any order. A grade above 0
-- is relevant; 0, a negative grade, NULL (nobody judged) and NaN are not. Results are Float64 between 0 and 1. Ties are
-- no question here: a ranking of Rerank has an order. Over many questions: avg(rerankNDCG(grades, judged, 10)).

-- rerankDCG(grades, k): discounted cumulative gain of the first k: the sum of grade / log2(place + 1).
-- SELECT rerankDCG([2, 0, 1], 10)
CREATE FUNCTION IF NOT EXISTS rerankDCG AS (grades, k) ->
    arrayMap((gs, depth) -> arraySum(arrayMap(
        (g, place) -> if(ifNull(g > 0, 0), assumeNotNull(g), 0.) / log2(place + 1),
        arraySlice(gs, 1, depth), arrayEnumerate(arraySlice(gs, 1, depth))
    )), [CAST(grades, 'Array(Nullable(Float64))')], [greatest(k, 0)])[1];

-- rerankDCGExp(grades, k): the same with the gain 2^grade - 1, which favours the most relevant documents.
-- SELECT rerankDCGExp([2, 0, 1], 10)
CREATE FUNCTION IF NOT EXISTS rerankDCGExp AS (grades, k) ->
    arrayMap((gs, depth) -> arraySum(arrayMap(
        (g, place) -> if(ifNull(g > 0, 0), exp2(assumeNotNull(g)) - 1, 0.) / log2(place + 1),
        arraySlice(gs, 1, depth), arrayEnumerate(arraySlice(gs, 1, depth))
    )), [CAST(grades, 'Array(Nullable(Float64))')], [greatest(k, 0)])[1];

-- rerankNDCG(grades, judged, k): DCG of the first k, as a share of the best possible order's: 1 if nothing could be
-- better, 0 if nothing is relevant. trec_eval's ndcg_cut_k.
-- SELECT rerankNDCG([2, 0, 1], [0, 1, 2, 1], 10)
CREATE FUNCTION IF NOT EXISTS rerankNDCG AS (grades, judged, k) ->
    arrayMap((gs, js, depth) -> arrayMap((found, best) -> if(best > 0, found / best, 0.),
        [rerankDCG(gs, depth)], [rerankDCG(arrayReverseSort(js), depth)]
    )[1], [CAST(grades, 'Array(Nullable(Float64))')], [CAST(judged, 'Array(Nullable(Float64))')], [k])[1];

-- rerankNDCGExp(grades, judged, k): the same with the gain 2^grade - 1.
-- SELECT rerankNDCGExp([2, 0, 1], [0, 1, 2, 1], 10)
CREATE FUNCTION IF NOT EXISTS rerankNDCGExp AS (grades, judged, k) ->
    arrayMap((gs, js, depth) -> arrayMap((found, best) -> if(best > 0, found / best, 0.),
        [rerankDCGExp(gs, depth)], [rerankDCGExp(arrayReverseSort(js), depth)]
    )[1], [CAST(grades, 'Array(Nullable(Float64))')], [CAST(judged, 'Array(Nullable(Float64))')], [k])[1];

-- rerankMRR(grades, k): 1 / the place of the first relevant document, 0 if none is among the first k. Its mean over
-- questions is the mean reciprocal rank; trec_eval's recip_rank.
-- SELECT rerankMRR([0, 1, 1], 10)
CREATE FUNCTION IF NOT EXISTS rerankMRR AS (grades, k) ->
    arrayMap(place -> if(place = 0, 0., 1 / place),
        [arrayFirstIndex(g -> ifNull(g > 0, 0),
            arraySlice(CAST(grades, 'Array(Nullable(Float64))'), 1, greatest(k, 0)))])[1];

-- rerankMAP(grades, judged, k): the mean over the relevant documents of the precision where each stands, 0 for those
-- that are not among the first k. Its mean over questions is the mean average precision; trec_eval's map_cut_k.
-- SELECT rerankMAP([1, 0, 1], [0, 1, 1, 1], 10)
CREATE FUNCTION IF NOT EXISTS rerankMAP AS (grades, judged, k) ->
    arrayMap((hits, relevant) -> if(relevant = 0, 0., arraySum(arrayMap(
        (hit, so_far, place) -> hit * so_far / place, hits, arrayCumSum(hits), arrayEnumerate(hits)
    )) / relevant),
        [arrayMap(g -> ifNull(g > 0, 0), arraySlice(CAST(grades, 'Array(Nullable(Float64))'), 1, greatest(k, 0)))],
        [arrayCount(g -> ifNull(g > 0, 0), CAST(judged, 'Array(Nullable(Float64))'))]
    )[1];

-- rerankPrecision(grades, k): the share of relevant documents among the first k; a place that no document has counts as
-- not relevant. trec_eval's P_k.
-- SELECT rerankPrecision([1, 0, 1], 10)
CREATE FUNCTION IF NOT EXISTS rerankPrecision AS (grades, k) ->
    arrayMap((gs, depth) -> if(depth = 0, 0., arrayCount(g -> ifNull(g > 0, 0), arraySlice(gs, 1, depth)) / depth),
        [CAST(grades, 'Array(Nullable(Float64))')], [greatest(k, 0)])[1];

-- rerankRecall(grades, judged, k): the share of the relevant documents that is among the first k. trec_eval's recall_k.
-- SELECT rerankRecall([1, 0, 1], [0, 1, 1, 1], 10)
CREATE FUNCTION IF NOT EXISTS rerankRecall AS (grades, judged, k) ->
    arrayMap((found, relevant) -> if(relevant = 0, 0., found / relevant),
        [arrayCount(g -> ifNull(g > 0, 0), arraySlice(CAST(grades, 'Array(Nullable(Float64))'), 1, greatest(k, 0)))],
        [arrayCount(g -> ifNull(g > 0, 0), CAST(judged, 'Array(Nullable(Float64))'))]
    )[1];

-- rerankHit(grades, k): 1 if a relevant document is among the first k, else 0. Its mean over questions is the hit rate;
-- trec_eval's success_k.
-- SELECT rerankHit([0, 1, 1], 1)
CREATE FUNCTION IF NOT EXISTS rerankHit AS (grades, k) ->
    toFloat64(arrayExists(g -> ifNull(g > 0, 0),
        arraySlice(CAST(grades, 'Array(Nullable(Float64))'), 1, greatest(k, 0))));

-- rerankOverlap(a, b, k): the share of documents that the first k of two rankings have in common. `a` and `b` are ids,
-- best first. 1 if both have the same documents; of a shorter ranking all documents count; 0 if both are empty.
-- SELECT rerankOverlap([3, 1, 2], [1, 3, 4], 2)
CREATE FUNCTION IF NOT EXISTS rerankOverlap AS (a, b, k) ->
    arrayMap(depth -> arrayMap((one, other) -> if(empty(one) AND empty(other), 0.,
        length(arrayIntersect(one, other)) / greatest(length(one), length(other))
    ), [arraySlice(CAST(a, 'Array(String)'), 1, depth)], [arraySlice(CAST(b, 'Array(String)'), 1, depth)])[1],
        [greatest(k, 0)])[1];

-- rerankRBO(a, b, p): rank-biased overlap, which weights the top most: p (above 0, below 1) is how likely a reader goes
-- on to the next place; at 0.9, the first ten places have 86 % of the weight. 1 if both are equal, 0 if they share
-- nothing or one is empty. Extrapolated, RBO_EXT of W. Webber, A. Moffat and J. Zobel, "A similarity measure for
-- indefinite rankings", 2010, equation 32.
-- SELECT rerankRBO([3, 1, 2], [1, 3, 4], 0.9)
CREATE FUNCTION IF NOT EXISTS rerankRBO AS (a, b, p) ->
    arrayMap((one, other, weight) -> arrayMap((depths, short, long) -> if(short = 0, 0.,
        (1 - weight) / weight * arraySum(arrayMap(
            depth -> (arrayCount(d -> d <= depth, depths)
                + if(depth > short, arrayCount(d -> d <= short, depths) * (depth - short) / short, 0.)
            ) / depth * pow(weight, depth), range(1, long + 1)
        ))
        + ((length(depths) - arrayCount(d -> d <= short, depths)) / long
            + arrayCount(d -> d <= short, depths) / short) * pow(weight, long)
    ),
        -- The depth from which on both rankings have a document.
        [arrayFilter(d -> d > 0, arrayMap(
            (x, place) -> if(has(other, x), greatest(place, indexOf(other, x)), 0), one, arrayEnumerate(one)))],
        [least(length(one), length(other))], [greatest(length(one), length(other))]
    )[1], [CAST(a, 'Array(String)')], [CAST(b, 'Array(String)')], [p])[1];

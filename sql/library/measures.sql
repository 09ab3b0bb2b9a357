-- What grades are worth: one number per grade. A grade that is NULL (not judged), NaN or at most 0 is worth 0.
--   grades  Array of numbers, or of Nullable numbers; also [].
-- Result: Array(Float64), in the same order.
-- Source: trec_eval counts a document as relevant from grade 1 on, and one without a judgement as not relevant.
-- Example: rerankGains([2, NULL, -1]) = [2, 0, 0]
CREATE FUNCTION IF NOT EXISTS rerankGains AS (grades) ->
    arrayMap(grade_ -> if(grade_ > 0, assumeNotNull(grade_), 0), CAST(grades, 'Array(Nullable(Float64))'));

-- Discounted cumulative gain of the first k documents: the sum of grade / log2(rank + 1), where rank counts from 1.
--   grades  Array of numbers: the grades of the ranked documents, best rank first; 0 or NULL where there is none.
--   k       Integer: how many documents count. NULL or less than 1: none, and the result is 0.
-- Result: Float64, 0 or more.
-- Source: Järvelin and Kekäläinen 2002, with the discount of trec_eval's ndcg_cut.
-- Example: rerankDCG([3, 0, 1], 10) = 3.5
CREATE FUNCTION IF NOT EXISTS rerankDCG AS (grades, k) ->
    arrayMap(grades_ -> arraySum((grade_, rank_) -> grade_ / log2(rank_ + 1), grades_, arrayEnumerate(grades_)),
        [arraySlice(rerankGains(grades), 1, greatest(ifNull(k, 0), 0))])[1];

-- nDCG at k with linear gain: the DCG of a ranking as a part of the DCG of the best possible one.
--   grades  Array of numbers: the grades of the ranked documents, best rank first; 0 or NULL where there is none.
--   judged  Array of numbers: the grades of all judged documents of the question, ranked or not, in any order.
--   k       Integer: how many documents count. NULL or less than 1: none, and the result is 0.
-- Result: Float64 from 0 to 1; 0 if no judged document is relevant.
-- Source: trec_eval's ndcg_cut; ir-measures' nDCG@k.
-- Example: round(rerankNDCG([0, 2], [2, 0, 1], 10), 4) = 0.4796
CREATE FUNCTION IF NOT EXISTS rerankNDCG AS (grades, judged, k) ->
    arrayMap((grades_, judged_, k_) ->
            ifNotFinite(rerankDCG(grades_, k_) / rerankDCG(arrayReverseSort(rerankGains(judged_)), k_), 0),
        [grades], [judged], [k])[1];

-- nDCG at k with exponential gain: as rerankNDCG, but a grade is worth 2^grade - 1, so that the best grades dominate.
--   grades, judged, k  As in rerankNDCG.
-- Result: Float64 from 0 to 1; 0 if no judged document is relevant.
-- Source: Burges et al. 2005; ranx' ndcg_burges.
-- Example: round(rerankNDCGExp([0, 2], [2, 0, 1], 10), 4) = 0.5213
CREATE FUNCTION IF NOT EXISTS rerankNDCGExp AS (grades, judged, k) ->
    arrayMap((grades_, judged_, k_) ->
            ifNotFinite(rerankDCG(arrayMap(grade_ -> exp2(grade_) - 1, rerankGains(grades_)), k_)
                / rerankDCG(arrayMap(grade_ -> exp2(grade_) - 1, arrayReverseSort(rerankGains(judged_))), k_), 0),
        [grades], [judged], [k])[1];

-- Reciprocal rank at k: 1 / rank of the first relevant document, if it is among the first k. Its average is the MRR.
--   grades  Array of numbers: the grades of the ranked documents, best rank first; 0 or NULL where there is none.
--   k       Integer: how many documents count. NULL or less than 1: none, and the result is 0.
-- Result: Float64 from 0 to 1; 0 if none of the first k is relevant.
-- Source: trec_eval's recip_rank; ir-measures' RR@k.
-- Example: rerankMRR([0, 2, 1], 10) = 0.5
CREATE FUNCTION IF NOT EXISTS rerankMRR AS (grades, k) ->
    arrayMap(rank_ -> if(rank_ > 0, 1 / rank_, 0),
        [arrayFirstIndex(grade_ -> grade_ > 0, arraySlice(rerankGains(grades), 1, greatest(ifNull(k, 0), 0)))])[1];

-- Average precision at k: the precision at the rank of each relevant document among the first k, summed and divided by
-- the number of all relevant documents. Its average over the questions is the MAP.
--   grades  Array of numbers: the grades of the ranked documents, best rank first; 0 or NULL where there is none.
--   judged  Array of numbers: the grades of all judged documents of the question, ranked or not, in any order.
--   k       Integer: how many documents count. NULL or less than 1: none, and the result is 0.
-- Result: Float64 from 0 to 1; 0 if no judged document is relevant.
-- Source: trec_eval's map_cut; ir-measures' AP@k.
-- Example: rerankMAP([1, 0, 1], [1, 1, 0, 0], 10) = (1/1 + 2/3) / 2
CREATE FUNCTION IF NOT EXISTS rerankMAP AS (grades, judged, k) ->
    arrayMap((hits_, judged_) ->
            ifNotFinite(arraySum((hit_, found_, rank_) -> hit_ * found_ / rank_,
                hits_, arrayCumSum(hits_), arrayEnumerate(hits_)) / arrayCount(grade_ -> grade_ > 0, judged_), 0),
        [arrayMap(grade_ -> grade_ > 0, arraySlice(rerankGains(grades), 1, greatest(ifNull(k, 0), 0)))],
        [rerankGains(judged)])[1];

-- Precision at k: the relevant documents among the first k, divided by k, even if fewer are ranked.
--   grades  Array of numbers: the grades of the ranked documents, best rank first; 0 or NULL where there is none.
--   k       Integer: how many documents count. NULL or less than 1: none, and the result is 0.
-- Result: Float64 from 0 to 1.
-- Source: trec_eval's P; ir-measures' P@k.
-- Example: rerankPrecision([1, 0, 2], 4) = 0.5
CREATE FUNCTION IF NOT EXISTS rerankPrecision AS (grades, k) ->
    arrayMap((grades_, k_) -> ifNotFinite(arrayCount(grade_ -> grade_ > 0, arraySlice(grades_, 1, k_)) / k_, 0),
        [rerankGains(grades)], [greatest(ifNull(k, 0), 0)])[1];

-- Recall at k: the relevant documents among the first k, divided by all relevant ones.
--   grades  Array of numbers: the grades of the ranked documents, best rank first; 0 or NULL where there is none.
--   judged  Array of numbers: the grades of all judged documents of the question, ranked or not, in any order.
--   k       Integer: how many documents count. NULL or less than 1: none, and the result is 0.
-- Result: Float64 from 0 to 1; 0 if no judged document is relevant.
-- Source: trec_eval's recall; ir-measures' R@k.
-- Example: rerankRecall([1, 0, 2], [1, 2, 1, 0], 3) = 2/3
CREATE FUNCTION IF NOT EXISTS rerankRecall AS (grades, judged, k) ->
    arrayMap((grades_, judged_) ->
            ifNotFinite(arrayCount(grade_ -> grade_ > 0, grades_) / arrayCount(grade_ -> grade_ > 0, judged_), 0),
        [arraySlice(rerankGains(grades), 1, greatest(ifNull(k, 0), 0))], [rerankGains(judged)])[1];

-- Hit at k: whether a relevant document is among the first k. Its average is the hit rate.
--   grades  Array of numbers: the grades of the ranked documents, best rank first; 0 or NULL where there is none.
--   k       Integer: how many documents count. NULL or less than 1: none, and the result is 0.
-- Result: UInt8, 1 or 0.
-- Source: trec_eval's success; ir-measures' Success@k.
-- Example: rerankHit([0, 2], 1) = 0
CREATE FUNCTION IF NOT EXISTS rerankHit AS (grades, k) ->
    arrayExists(grade_ -> grade_ > 0, arraySlice(rerankGains(grades), 1, greatest(ifNull(k, 0), 0)));

-- Rank-biased overlap of two rankings, extrapolated (RBO_ext): how much they agree, the top weighing most.
--   a, b  Arrays of ids, best first, of any length and one type. NULL is left out; of equal ids, the first counts.
--   p     Number from 0 to 1, else an error: how deep to look. The first 1 / (1 - p) ranks weigh most: 0.9 for ten.
--         0 compares the first ids only, 1 the sets.
-- Result: Float64 from 0 (nothing in common) to 1 (the same ranking). What lies below the end of the lists is assumed
-- to agree as much as what is seen. Two empty rankings are the same, 1; an empty one shares nothing with another, 0.
-- Source: Webber, Moffat and Zobel 2010, equation 32, which takes lists of different lengths.
-- Example: round(rerankRBO(['a', 'b', 'c'], ['b', 'a', 'c'], 0.9), 4) = 0.9
CREATE FUNCTION IF NOT EXISTS rerankRBO AS (a, b, p) ->
    arrayMap((a_, b_, p_) ->
            -- Both lists in one, rank by rank: a place is 2 * rank in a and 2 * rank + 1 in b. An id that comes for the
            -- second time is in both.
            arrayMap((places_, shared_, short_, long_) -> multiIf(long_ = 0, 1, short_ = 0, 0,
                    arrayMap((in_short_, in_long_) ->
                            (1 - p_) * arraySum((place_, found_) -> if(place_ % 2 = 1 OR intDiv(place_, 2) > short_,
                                (found_ + in_short_ * greatest(intDiv(place_, 2) - short_, 0) / short_)
                                    / intDiv(place_, 2) * pow(p_, intDiv(place_, 2) - 1), 0), places_, shared_)
                            + ((in_long_ - in_short_) / long_ + in_short_ / short_) * pow(p_, long_),
                        [shared_[2 * short_]], [shared_[-1]])[1]
                    + throwIf(NOT (p_ >= 0 AND p_ <= 1), 'rerankRBO: p must be a number from 0 to 1')),
                [arraySort(arrayConcat(arrayMap(rank_ -> 2 * rank_, arrayEnumerate(a_)),
                    arrayMap(rank_ -> 2 * rank_ + 1, arrayEnumerate(b_))))],
                [arrayCumSum(arrayMap(times_ -> times_ = 2, arrayEnumerateUniq(
                    arraySort((id_, place_) -> place_, arrayConcat(a_, b_),
                        arrayConcat(arrayMap(rank_ -> 2 * rank_, arrayEnumerate(a_)),
                            arrayMap(rank_ -> 2 * rank_ + 1, arrayEnumerate(b_)))))))],
                [least(length(a_), length(b_))], [greatest(length(a_), length(b_))])[1],
        [arrayDistinct(a)], [arrayDistinct(b)], [ifNull(p, nan)])[1];

-- Overlap of the first k of two rankings: the ids that both have there, as a part of the longer top.
--   a, b  Arrays of ids, best first, of one type. NULL is left out; of equal ids, the first counts.
--   k     Integer: how many ids count. NULL or less than 1: none.
-- Result: Float64 from 0 to 1. Where both have k ids, it is the common ones divided by k. Two empty tops agree, 1.
-- Source: average overlap and RBO (Webber, Moffat and Zobel 2010) are sums of this agreement at each depth.
-- Example: rerankOverlap([1, 2, 3], [3, 2, 9], 2) = 0.5
CREATE FUNCTION IF NOT EXISTS rerankOverlap AS (a, b, k) ->
    arrayMap((a_, b_, k_) ->
            arrayMap((top_a_, top_b_) -> if(empty(top_a_) AND empty(top_b_), 1,
                    length(arrayIntersect(top_a_, top_b_)) / greatest(length(top_a_), length(top_b_))),
                [arraySlice(a_, 1, k_)], [arraySlice(b_, 1, k_)])[1],
        [arrayDistinct(a)], [arrayDistinct(b)], [greatest(ifNull(k, 0), 0)])[1];

-- Can scores that claim to be probabilities be believed, and where to cut. `scores` are of documents of any questions,
-- `labels` say for each whether it was relevant: above 0 is yes, 0 is no. Pairs whose score is NaN or NULL, or whose
-- label is NULL, are left out. Collect them with groupArray(score) and groupArray(label).

-- rerankBrier(scores, labels): the mean square of score - label: 0 is perfect, 0.25 is what 0.5 for everything has. NaN
-- without pairs. G. Brier, "Verification of forecasts expressed in terms of probability", 1950.
-- SELECT rerankBrier([0.9, 0.2], [1, 0])
CREATE FUNCTION IF NOT EXISTS rerankBrier AS (scores, labels) ->
    arrayMap(squares -> if(empty(squares), nan, arrayAvg(squares)), [arrayMap(
        one -> pow(assumeNotNull(one.1) - assumeNotNull(one.2), 2), arrayFilter(
            one -> isFinite(ifNull(one.1, nan)) AND isNotNull(one.2),
            arrayMap((s, l) -> (s, l > 0), CAST(scores, 'Array(Nullable(Float64))'),
                CAST(labels, 'Array(Nullable(Float64))'))))])[1];

-- rerankBins(scores, labels, bins): a row for each of `bins` equal parts of 0 to 1 that has scores: (low, high, count,
-- mean score, share of relevant ones). If the last two are equal in each, the scores are calibrated. A score outside 0
-- to 1 is in the first or last part.
-- SELECT rerankBins([0.9, 0.2, 0.25], [1, 0, 1], 10)
CREATE FUNCTION IF NOT EXISTS rerankBins AS (scores, labels, bins) ->
    arrayMap((pairs, parts) -> arrayFilter(bin -> bin.3 > 0, arrayMap(
        number -> arrayMap(own -> (number / parts, (number + 1) / parts, length(own),
            arrayAvg(arrayMap(one -> one.1, own)), arrayAvg(arrayMap(one -> one.2, own))),
            [arrayFilter(one -> least(parts - 1, greatest(0, floor(one.1 * parts))) = number, pairs)])[1],
        range(toUInt32(parts)))),
        [arrayMap(one -> (assumeNotNull(one.1), assumeNotNull(one.2)), arrayFilter(
            one -> isFinite(ifNull(one.1, nan)) AND isNotNull(one.2),
            arrayMap((s, l) -> (s, l > 0), CAST(scores, 'Array(Nullable(Float64))'),
            CAST(labels, 'Array(Nullable(Float64))'))))],
        [bins])[1];

-- rerankECE(scores, labels, bins): the expected calibration error: how far the mean score of a part is from its share
-- of relevant ones, as a mean over the scores: 0 is perfect. NaN without pairs. M. Naeini, G. Cooper and M. Hauskrecht,
-- "Obtaining well calibrated probabilities using Bayesian binning", 2015.
-- SELECT rerankECE([0.9, 0.2, 0.25], [1, 0, 1], 10)
CREATE FUNCTION IF NOT EXISTS rerankECE AS (scores, labels, bins) ->
    arrayMap(parts -> arraySum(arrayMap(bin -> bin.3 * abs(bin.4 - bin.5), parts))
        / arraySum(arrayMap(bin -> bin.3, parts)), [rerankBins(scores, labels, bins)])[1];

-- rerankThreshold(scores, labels, precision): the lowest score from which on at least this share of the documents is
-- relevant, for others.min_score: (score, precision, recall) there; three NaN if no score reaches it.
-- SELECT rerankThreshold([0.9, 0.8, 0.3], [1, 1, 0], 0.9)
CREATE FUNCTION IF NOT EXISTS rerankThreshold AS (scores, labels, precision) ->
    arrayMap((pairs, wanted) -> arrayMap((hits, cuts) -> arrayMap(
        place -> if(place = 0, (nan, nan, nan),
            (pairs[place].1, hits[place] / place, hits[place] / arrayMax(hits))),
        [arrayLastIndex((hit, place, cut) -> cut AND hit > 0 AND hit / place >= wanted,
            hits, arrayEnumerate(hits), cuts)])[1],
        [arrayCumSum(arrayMap(one -> one.2, pairs))],
        -- Equal scores are cut together.
        [arrayMap((one, place) -> place = length(pairs) OR pairs[place + 1].1 < one.1,
            pairs, arrayEnumerate(pairs))])[1],
        [arrayReverseSort(one -> one.1, arrayMap(one -> (assumeNotNull(one.1), assumeNotNull(one.2)), arrayFilter(
            one -> isFinite(ifNull(one.1, nan)) AND isNotNull(one.2),
            arrayMap((s, l) -> (s, l > 0), CAST(scores, 'Array(Nullable(Float64))'),
            CAST(labels, 'Array(Nullable(Float64))')))))],
        [precision])[1];

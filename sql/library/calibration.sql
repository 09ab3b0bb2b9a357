-- Pairs of a probability and whether it was right to be high, without those that cannot be compared.
--   probabilities  Array of numbers from 0 to 1, else an error: the scores of a decision model, or those of another
--                  model with "normalize":"sigmoid". NULL and NaN (not scored) leave the pair out.
--   labels         Array of numbers or Bool, one per probability: more than 0 is positive. NULL and NaN (not judged)
--                  leave the pair out.
-- Result: Array(Tuple(Float64, UInt8)), in the same order.
-- Source: the rule of the measures, that a grade above 0 is relevant.
-- Example: rerankLabelled([0.9, 0.5, nan], [2, 0, 1]) = [(0.9, 1), (0.5, 0)]
CREATE FUNCTION IF NOT EXISTS rerankLabelled AS (probabilities, labels) ->
    arrayMap(pair_ -> (pair_.1 + throwIf(pair_.1 < 0 OR pair_.1 > 1,
                'rerank: a score is no probability from 0 to 1. Ask with "normalize":"sigmoid", or a decision model'),
            toUInt8(pair_.2 > 0)),
        arrayFilter(pair_ -> NOT isNaN(pair_.1) AND NOT isNaN(pair_.2), arrayMap((probability_, label_) ->
                (ifNull(probability_, nan), ifNull(label_, nan)),
            CAST(probabilities, 'Array(Nullable(Float64))'), CAST(labels, 'Array(Nullable(Float64))'))));

-- Brier score: the mean squared difference between probability and truth. 0 is perfect, 0.25 is a constant 0.5.
--   probabilities, labels  As in rerankLabelled; groupArray gathers them from a table.
-- Result: Float64 from 0 to 1; NaN if there is nothing to compare.
-- Source: Brier 1950; scikit-learn's brier_score_loss.
-- Example: rerankBrier([1, 0.5], [1, 0]) = 0.125
CREATE FUNCTION IF NOT EXISTS rerankBrier AS (probabilities, labels) ->
    arrayMap(pairs_ -> if(empty(pairs_), nan, arrayAvg(pair_ -> pow(pair_.1 - pair_.2, 2), pairs_)),
        [rerankLabelled(probabilities, labels)])[1];

-- Reliability bins, for a diagram: how often the answer was yes where the model said about that.
--   probabilities, labels  As in rerankLabelled.
--   bins                   Integer of 1 or more, else an error: bins of equal width, each with its lower end.
-- Result: Array(Tuple(low, high, count, probability, share)), for the bins that are not empty: the ends of the bin, how
-- many pairs are in it, their mean probability, and the share of them that is positive.
-- Source: DeGroot and Fienberg 1983; the bins of Guo et al. 2017, but closed at the lower end.
-- Example: rerankReliability([0.1, 0.15, 0.9], [0, 1, 1], 2) = [(0, 0.5, 2, 0.125, 0.5), (0.5, 1, 1, 0.9, 1)]
CREATE FUNCTION IF NOT EXISTS rerankReliability AS (probabilities, labels, bins) ->
    arrayMap((pairs_, bins_) -> arrayMap(sums_ -> CAST(
                arrayMap((bin_, count_, probability_, positive_) ->
                        (bin_ / bins_, (bin_ + 1) / bins_, count_, probability_ / count_, positive_ / count_),
                    sums_.1, sums_.2, sums_.3, sums_.4),
                'Array(Tuple(low Float64, high Float64, count UInt64, probability Float64, share Float64))'),
            [arrayReduce('sumMap',
                [arrayMap(pair_ -> least(toInt64(floor(pair_.1 * bins_)), bins_ - 1), pairs_)],
                [arrayMap(pair_ -> 1, pairs_)], [pairs_.1], [pairs_.2])])[1],
        [rerankLabelled(probabilities, labels)],
        arrayMap(bins_ -> toInt64(bins_ + throwIf(bins_ < 1, 'rerank: bins must be at least 1')),
            [ifNull(bins, 0)]))[1];

-- Expected calibration error: how far the mean probability of a bin is from its share of positives, on average.
--   probabilities, labels, bins  As in rerankReliability; 10 bins are usual.
-- Result: Float64 from 0 to 1; NaN if there is nothing to compare.
-- Source: Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017.
-- Example: round(rerankECE([0.1, 0.15, 0.9], [0, 1, 1], 2), 4) = 0.2833
CREATE FUNCTION IF NOT EXISTS rerankECE AS (probabilities, labels, bins) ->
    arrayMap(bins_ -> arraySum(bin_ -> bin_.3 * abs(bin_.4 - bin_.5), bins_) / arraySum(bin_ -> bin_.3, bins_),
        [rerankReliability(probabilities, labels, bins)])[1];

-- The lowest threshold at which the documents that reach it have a wanted precision, and with it the highest recall.
--   probabilities, labels  As in rerankLabelled.
--   precision              Number: the wanted share of positives among the pairs that reach the threshold, from 0 to 1.
-- Result: Tuple(threshold, precision, recall) of Float64: the threshold for min_score, and what it gives for these
-- pairs. If no threshold reaches the precision, (NaN, NaN, 0).
-- Source: the points of scikit-learn's precision_recall_curve: equal probabilities are all in or all out.
-- Example: rerankThreshold([0.9, 0.8, 0.7, 0.2], [1, 1, 0, 1], 0.75) = (0.2, 0.75, 1)
CREATE FUNCTION IF NOT EXISTS rerankThreshold AS (probabilities, labels, precision) ->
    arrayMap((pairs_, precision_) -> arrayMap((scores_, found_) -> arrayMap(last_ -> CAST(
                if(last_ = 0, (nan, nan, 0.),
                    (scores_[last_], found_[last_] / last_, found_[last_] / greatest(found_[-1], 1))),
                'Tuple(threshold Float64, precision Float64, recall Float64)'),
            [arrayLastIndex((score_, next_, hits_, rank_) -> score_ != next_ AND hits_ / rank_ >= precision_, scores_,
                arrayResize(arrayPopFront(scores_), length(scores_), nan), found_, arrayEnumerate(scores_))])[1],
            [pairs_.1], [arrayCumSum(pairs_.2)])[1],
        [arrayReverseSort(pair_ -> pair_.1, rerankLabelled(probabilities, labels))], [precision])[1];

-- Platt scaling: the line through scores of any scale that makes them probabilities. A score becomes
-- 1 / (1 + exp(-(slope * score + intercept))).
--   scores  Array of numbers, on any scale. NULL, NaN and infinite ones leave the pair out.
--   labels  As in rerankLabelled.
-- Result: Tuple(slope, intercept) of Float64, the most likely ones; (NaN, NaN) without a positive
-- and a negative pair, or if all scores are equal.
-- Source: Platt 1999, with his targets, which keep the slope finite; scikit-learn's CalibratedClassifierCV 'sigmoid'.
-- Example: round(rerankPlatt([2, 1, 0, -1], [1, 1, 0, 0]).slope, 3) = 0.908
CREATE FUNCTION IF NOT EXISTS rerankPlatt AS (scores, labels) ->
    arrayMap(pairs_ -> arrayMap((positive_, negative_, mean_, deviation_) -> CAST(
                if(positive_ = 0 OR negative_ = 0, (nan, nan), arrayMap(line_ ->
                        (line_.1 / deviation_, line_.2 - line_.1 * mean_ / deviation_),
                    -- Newton's method on standardised scores.
                    [arrayFold((line_, step_) -> arrayMap(sum_ -> arrayMap(determinant_ -> (
                                line_.1 - (sum_.5 * sum_.1 - sum_.4 * sum_.2) / determinant_,
                                line_.2 - (sum_.3 * sum_.2 - sum_.4 * sum_.1) / determinant_),
                            [sum_.3 * sum_.5 - sum_.4 * sum_.4 + 1e-12])[1],
                        [arrayMap(own_ -> (arraySum(arrayMap(one_ -> one_.1 * one_.3, own_)), arraySum(own_.1),
                                arraySum(arrayMap(one_ -> one_.2 * one_.3 * one_.3, own_)),
                                arraySum(arrayMap(one_ -> one_.2 * one_.3, own_)), arraySum(own_.2)),
                            [arrayMap(pair_ -> arrayMap((probability_, x_) -> (
                                    probability_ - if(pair_.2, (positive_ + 1) / (positive_ + 2), 1 / (negative_ + 2)),
                                    probability_ * (1 - probability_), x_),
                                [1 / (1 + exp(-line_.1 * (pair_.1 - mean_) / deviation_ - line_.2))],
                                [(pair_.1 - mean_) / deviation_])[1], pairs_)])[1]])[1],
                        range(25), (0., 0.))])[1]),
                'Tuple(slope Float64, intercept Float64)'),
            [arrayCount(pair_ -> pair_.2, pairs_)], [arrayCount(pair_ -> NOT pair_.2, pairs_)],
            [arrayAvg(pairs_.1)], [arrayReduce('stddevPopStable', pairs_.1)])[1],
        [arrayFilter(pair_ -> isFinite(pair_.1), arrayMap((score_, label_) ->
                (ifNull(if(isNull(label_) OR isNaN(label_), nan, score_), nan), toUInt8(ifNull(label_, 0) > 0)),
            CAST(scores, 'Array(Nullable(Float64))'), CAST(labels, 'Array(Nullable(Float64))')))])[1];

"""Measures, fusions and calibration in plain Python, from their definitions: sql/library must agree."""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence

Grades = Sequence[float | None]
Fused = list[tuple[Hashable, float]]


def is_relevant(grade: float | None) -> bool:
    return grade is not None and grade > 0


def dcg(grades: Grades, k: int) -> float:
    return sum((grade or 0) / math.log2(place + 2) for place, grade in enumerate(grades[:k]) if is_relevant(grade))


def ndcg(grades: Grades, judged: Grades, k: int) -> float:
    best = dcg(sorted((grade or 0 for grade in judged), reverse=True), k)
    return dcg(grades, k) / best if best else 0.0


def ndcg_exp(grades: Grades, judged: Grades, k: int) -> float:
    gains, best = ([2 ** max(grade or 0, 0) - 1 for grade in each] for each in (grades, judged))
    return ndcg(gains, best, k)


def mrr(grades: Grades, k: int) -> float:
    return next((1 / (place + 1) for place, grade in enumerate(grades[:k]) if is_relevant(grade)), 0.0)


def precision(grades: Grades, k: int) -> float:
    return sum(map(is_relevant, grades[:k])) / k if k else 0.0


def average_precision(grades: Grades, judged: Grades, k: int) -> float:
    relevant = sum(map(is_relevant, judged))
    found = [precision(grades, place + 1) for place, grade in enumerate(grades[:k]) if is_relevant(grade)]
    return sum(found) / relevant if relevant else 0.0


def recall(grades: Grades, judged: Grades, k: int) -> float:
    relevant = sum(map(is_relevant, judged))
    return sum(map(is_relevant, grades[:k])) / relevant if relevant else 0.0


def hit(grades: Grades, k: int) -> int:
    return int(any(map(is_relevant, grades[:k])))


def rbo(a: Sequence[Hashable], b: Sequence[Hashable], p: float) -> float:
    """RBO_ext, from equation 32 of Webber, Moffat and Zobel 2010, sum by sum. Ids are distinct; 0 < p < 1."""
    short, long = sorted((a, b), key=len)
    s, end = len(short), len(long)
    if not s:
        return 0.0 if end else 1.0
    x = [len({*short[:depth]} & {*long[:depth]}) for depth in range(end + 1)]
    seen = sum(x[depth] / depth * p**depth for depth in range(1, end + 1))
    beyond = sum(x[s] * (depth - s) / (s * depth) * p**depth for depth in range(s + 1, end + 1))
    return (1 - p) / p * (seen + beyond) + ((x[end] - x[s]) / end + x[s] / s) * p**end


def overlap(a: Sequence[Hashable], b: Sequence[Hashable], k: int) -> float:
    longer = max(len(a[:k]), len(b[:k]))
    return len({*a[:k]} & {*b[:k]}) / longer if longer else 1.0


def min_max(scores: Sequence[float]) -> list[float]:
    low, high = min(scores), max(scores)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]


def z_score(scores: Sequence[float]) -> list[float]:
    mean, deviation = statistics.fmean(scores), statistics.pstdev(scores)
    return [(score - mean) / deviation if deviation else 0.0 for score in scores]


def three_sigma(scores: Sequence[float]) -> list[float]:
    mean = statistics.fmean(scores)
    deviation = statistics.stdev(scores) if len(scores) > 1 else 0.0
    low, high = mean - 3 * deviation, mean + 3 * deviation
    return [(score - low) / (high - low) if deviation else 0.5 for score in scores]


def weighted_sum(lists: Sequence[Mapping[Hashable, float]], weights: Sequence[float]) -> dict[Hashable, float]:
    found = {one for scores in lists for one in scores}
    return {
        one: sum(weight * scores[one] for scores, weight in zip(lists, weights, strict=True) if one in scores)
        for one in found
    }


def rrf(lists: Sequence[Sequence[Hashable]], k: float) -> dict[Hashable, float]:
    ranks = [{one: 1 / (k + place + 1) for place, one in enumerate(each)} for each in lists]
    return weighted_sum(ranks, [1.0] * len(lists))


def brier(pairs: Sequence[tuple[float, int]]) -> float:
    return statistics.fmean((probability - label) ** 2 for probability, label in pairs)


def reliability(pairs: Sequence[tuple[float, int]], bins: int) -> list[tuple[float, float, int, float, float]]:
    inside: dict[int, list[tuple[float, int]]] = {}
    for probability, label in pairs:
        inside.setdefault(min(int(probability * bins), bins - 1), []).append((probability, label))
    return [
        (
            number / bins,
            (number + 1) / bins,
            len(found),
            statistics.fmean(probability for probability, _ in found),
            statistics.fmean(label for _, label in found),
        )
        for number, found in sorted(inside.items())
    ]


def ece(pairs: Sequence[tuple[float, int]], bins: int) -> float:
    return sum(count * abs(mean - share) for _, _, count, mean, share in reliability(pairs, bins)) / len(pairs)


def threshold(pairs: Sequence[tuple[float, int]], wanted: float) -> tuple[float, float, float]:
    positives = sum(label for _, label in pairs)
    for limit in sorted({probability for probability, _ in pairs}):
        kept = [label for probability, label in pairs if probability >= limit]
        if sum(kept) / len(kept) >= wanted:
            return limit, sum(kept) / len(kept), sum(kept) / max(positives, 1)
    return math.nan, math.nan, 0.0

"""Is it more than chance: bootstrap intervals, a paired randomisation test, Holm's correction, percentiles.

B. Efron, "Better Bootstrap Confidence Intervals", 1987; M. D. Smucker, J. Allan and B. Carterette, "A Comparison of
Statistical Significance Tests for Information Retrieval Evaluation", 2007; S. Holm, "A Simple Sequentially Rejective
Multiple Test Procedure", 1979.
"""

import math
from collections.abc import Mapping, Sequence
from random import Random

from .results import Estimate

SEED = 17
_RESAMPLES = 2_000
_PERMUTATIONS = 10_000
_BYTE = 8
_ROUNDING = 1e-9
"""Sums of the same numbers in another order are equal."""


class Bootstrap:
    """Means with 95 % intervals (percentile bootstrap): all measures and rankers see the same samples of questions."""

    def __init__(self, questions: int) -> None:
        random = Random(SEED)  # noqa: S311 - nothing secret
        self._questions = questions
        self._samples = [random.choices(range(questions), k=questions) for _ in range(_RESAMPLES if questions else 0)]

    def estimate(self, values: Sequence[float]) -> Estimate:
        """Of one value per question."""
        count = self._questions
        means = sorted(sum(map(values.__getitem__, sample)) / count for sample in self._samples)
        return Estimate(sum(values) / count, percentile(means, 0.025), percentile(means, 0.975))


def p_value(differences: Sequence[float]) -> float:
    """Of the hypothesis that two rankers are equal, from their differences per question; two-sided.

    If they are equal, each difference could as well have the other sign: the p-value is the share of random signs with
    a sum as far from 0 as the observed one.
    """
    random = Random(SEED)  # noqa: S311 - nothing secret
    # The signs of eight questions are one random byte; `sums` has what each byte turns round.
    groups = [differences[at : at + _BYTE] for at in range(0, len(differences), _BYTE)]
    sums = [[sum(one for bit, one in enumerate(group) if byte >> bit & 1) for byte in range(256)] for group in groups]
    total = sum(differences)
    least = abs(total) - _ROUNDING
    reached = 0
    for _ in range(_PERMUTATIONS):
        turned = sum(group[byte] for group, byte in zip(sums, random.randbytes(len(sums)), strict=True))
        reached += abs(total - 2 * turned) >= least
    return (reached + 1) / (_PERMUTATIONS + 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """The p-values corrected for the number of comparisons."""
    corrected = {}
    most = 0.0
    for place, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        most = max(most, min(1.0, (len(p_values) - place) * p_values[name]))
        corrected[name] = most
    return corrected


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` of the values do not exceed; 0 if there are none. `ordered` is ascending."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0

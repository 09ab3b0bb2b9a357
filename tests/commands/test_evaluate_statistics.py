"""The statistics of an evaluation: what they say of rankers that are equal, and of rankers that are not."""

from __future__ import annotations

import random
from itertools import product

import pytest

from clickhouse_rerank.commands.evaluate.statistics import Bootstrap, holm, p_value, percentile


def test_equal_rankers_are_found_equal() -> None:
    """In 95 % of 200 simulated evaluations with 50 questions, give or take what chance allows."""
    draw = random.Random(1)
    found = [p_value([draw.gauss(0, 0.2) for _ in range(50)]) for _ in range(200)]
    assert 0.90 <= sum(p > 0.05 for p in found) / 200 <= 0.99


def test_a_real_difference_is_found() -> None:
    """Half a standard deviation over 100 questions, in nearly all of 50 simulated evaluations."""
    draw = random.Random(2)
    found = [p_value([draw.gauss(0.1, 0.2) for _ in range(100)]) for _ in range(50)]
    assert sum(p < 0.05 for p in found) >= 48


@pytest.mark.parametrize("differences", [[0.5, 0.2, -0.1], [0.3] * 9, [0.1, -0.1] * 4, [0.4, 0.0, 0.0, -0.7, 0.2]])
def test_p_values_are_those_of_all_signs(differences: list[float]) -> None:
    """The share of all sign patterns, counted one by one."""
    total = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    exact = sum(one >= total - 1e-9 for one in sums) / len(sums)
    assert p_value(differences) == pytest.approx(exact, abs=0.02)


def test_without_a_difference_the_p_value_is_1() -> None:
    assert p_value([0.0] * 20) == 1
    assert p_value([]) == 1


def test_intervals_cover_the_true_mean() -> None:
    """In about 95 % of 200 evaluations of 60 questions."""
    draw = random.Random(3)
    bootstrap = Bootstrap(60)
    found = [bootstrap.estimate([draw.random() for _ in range(60)]) for _ in range(200)]
    assert 0.90 <= sum(one.low <= 0.5 <= one.high for one in found) / 200 <= 0.99
    assert all(one.low <= one.mean <= one.high for one in found)


def test_holm() -> None:
    """Each p-value times the number of those that are not smaller, never below the one before, at most 1."""
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_percentiles() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.95)) == (50, 95)
    assert (percentile([3.0], 0.05), percentile([], 0.5)) == (3, 0)

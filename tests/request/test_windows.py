"""Windows slide from the back of a list to its front, and what is best in them goes with them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse_rerank.errors import CallerError, ProviderFailedError
from clickhouse_rerank.request import windows
from clickhouse_rerank.types import Scores
from resolved import resolved


def chat(**others: object) -> windows.Endpoint:
    return resolved("Chat", "http://h", model="m", **others)


SPANS = (
    (1, {}, [(0, 1)]),
    (20, {}, [(0, 20)]),
    (21, {}, [(1, 21), (0, 11)]),
    (30, {}, [(10, 30), (0, 20)]),
    (35, {}, [(15, 35), (5, 25), (0, 15)]),
    (100, {}, [(start, start + 20) for start in range(80, -1, -10)]),
    (10, {"window": 4, "step": 2}, [(6, 10), (4, 8), (2, 6), (0, 4)]),
    (10, {"window": 4, "step": 3}, [(6, 10), (3, 7), (0, 4)]),
    (5, {"window": 3}, [(2, 5), (1, 4), (0, 3)]),
    (4, {"window": 3, "passes": 2}, [(1, 4), (0, 3)] * 2),
)


@pytest.mark.parametrize(("documents", "others", "spans"), SPANS)
def test_which_places_a_request_is_about(documents: int, others: dict[str, int], spans: list[tuple[int, int]]) -> None:
    """The windows of the literature: 9 for 100 documents."""
    found = windows.windows(documents, chat(**others))
    assert [(window.start, window.stop) for window in found] == spans


@pytest.mark.parametrize("others", [{"window": 10, "step": 10}, {"step": 20}, {"window": 4, "step": 9}])
def test_windows_that_do_not_overlap_are_refused(others: dict[str, int]) -> None:
    """A document could not leave its window."""
    with pytest.raises(CallerError, match=r"others\.step must be less than others\.window"):
        windows.windows(100, chat(**others))


def slid(values: list[int], endpoint: windows.Endpoint) -> tuple[list[int], int]:
    """The order of values after perfect answers, the highest first; and the number of requests."""
    order = list(range(len(values)))
    found = windows.windows(len(values), endpoint)
    for window in found:
        best = sorted(window, key=lambda place: -values[order[place]])
        answer: Scores = [(place - window.start, 1 - rank / len(best)) for rank, place in enumerate(best)]
        order = windows.moved(order, window, answer, endpoint)
    return order, len(found)


@given(st.permutations(range(60)).map(lambda all_: all_[:45]), st.integers(2, 30), st.data())
def test_the_best_reach_the_front(values: list[int], window: int, data: st.DataObject) -> None:
    """As many as the windows overlap by are in their right places, and nothing is lost or doubled."""
    step = data.draw(st.integers(1, window - 1))
    order, requests = slid(values, chat(window=window, step=step))
    assert sorted(order) == list(range(len(values)))
    assert requests == 1 + max(0, math.ceil((len(values) - window) / step))
    best = sorted(range(len(values)), key=lambda position: -values[position])
    # The last window may be shorter than the others: it holds what the one before it gave.
    assert order[: window - step] == best[: window - step]
    again, _ = slid(values, chat(window=window, step=step, passes=10))
    assert again[: 2 * (window - step)] == best[: 2 * (window - step)]


def test_what_an_answer_leaves_out_stays_behind_the_others() -> None:
    """In the order that it had; the other windows' places are untouched."""
    order = [5, 4, 3, 2, 1, 0]
    answer = [(2, 1.0), (0, 0.5)]
    assert windows.moved(order, range(1, 5), answer, chat()) == [5, 2, 4, 3, 1, 0]
    assert windows.moved(order, range(1, 5), answer[::-1], chat()) == [5, 2, 4, 3, 1, 0]


def test_an_answer_that_names_none_is_a_refusal() -> None:
    """The sentence names what to change."""
    with pytest.raises(ProviderFailedError, match=r"Chat refused to rank 2 documents\. Change the query"):
        windows.moved([0, 1], range(2), [], chat())


def test_scores_are_ranks() -> None:
    """1 for the first of four, a quarter for the last; in the call's order."""
    assert windows.scores([2, 0, 3, 1]) == [0.75, 0.25, 1.0, 0.5]

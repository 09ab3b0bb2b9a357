"""How many requests may be in flight: halving, growth and pauses, with a clock of the test's own."""

import pytest

from clickhouse_rerank.admission.concurrency import AdaptiveConcurrency
from clickhouse_rerank.admission.process_count import ProcessCount
from clock import Clock


def concurrency(max_in_flight: int = 64) -> tuple[AdaptiveConcurrency, Clock]:
    clock = Clock()
    return AdaptiveConcurrency(max_in_flight, ProcessCount(lambda: -1), clock), clock


def test_too_many_halves_once_per_round_and_success_widens() -> None:
    """429s of a round halve once, again only after an answer; two answers give a place back."""
    entry, clock = concurrency()
    sent = clock.now
    clock.now += 1
    for _ in range(10):
        entry.rate_limited(sent, None)
    assert entry.limit == 32
    clock.now += 1
    entry.rate_limited(clock.now, None)
    assert entry.limit == 1, "one at a time finds out whether it is over"
    entry.answered()
    assert entry.limit == 32
    entry.answered()
    assert entry.limit == 33
    for _ in range(2000):
        entry.answered()
    assert entry.limit == 64
    for _ in range(100):
        entry.answered()
        clock.now += 1
        entry.rate_limited(clock.now, None)
    assert entry.limit == 1


def test_a_failure_is_no_matter_of_concurrency() -> None:
    """It ends the rounds of 429; the limit stays as it was halved."""
    entry, clock = concurrency()
    for _ in range(3):
        clock.now += 1
        entry.rate_limited(clock.now, None)
    assert entry.limit == 1
    entry.failed()
    assert entry.limit == 32
    entry.failed()
    assert entry.limit == 32


def test_a_wait_that_is_not_named_doubles_in_each_round() -> None:
    """From 25 ms up to a second; a named one is taken as it is; an answer begins anew."""
    entry, clock = concurrency()
    waits = []
    for _ in range(8):
        clock.now += 1
        waits.append(entry.rate_limited(clock.now, None))
    assert waits == [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    clock.now += 1
    assert entry.rate_limited(clock.now, 7.0) == 7.0
    entry.answered()
    clock.now += 1
    assert entry.rate_limited(clock.now, None) == 0.025


def test_nothing_is_sent_in_a_pause() -> None:
    """A longer pause replaces a shorter one; the end of the shorter one ends nothing; an hour is a minute."""
    entry, clock = concurrency()
    first = entry.pause(2.0)
    assert first == (2.0, clock.now + 2.0) and not entry.has_room(0)
    assert entry.pause(1.0) is None
    longer = entry.pause(3600.0)
    assert longer == (60.0, clock.now + 60.0)
    clock.now += 2.0
    assert not entry.resume(first[1]) and not entry.has_room(0)
    clock.now += 57.9
    assert not entry.has_room(0)
    assert entry.resume(longer[1]) and entry.has_room(0), "a timer may be early by a tick"
    assert entry.has_room(63) and not entry.has_room(64)


def test_a_pause_is_over_also_before_its_timer_says_so() -> None:
    """A busy loop is late with timers."""
    entry, clock = concurrency()
    entry.pause(2.0)
    clock.now += 2.0
    assert entry.has_room(0)


@pytest.mark.parametrize(("rounds", "silent_s", "expected"), [(6, 150.0, True), (5, 150.0, False), (6, 149.0, False)])
def test_an_endpoint_that_answers_nothing_else_for_long_is_hopeless(
    rounds: int, silent_s: float, expected: bool
) -> None:
    """Six rounds of 429, and 150 s since the last answer."""
    entry, clock = concurrency()
    entry.answered()
    assert entry.has_answered_lately()
    clock.now += silent_s - rounds
    for _ in range(rounds):
        clock.now += 1
        entry.rate_limited(clock.now, None)
    assert entry.is_hopeless() == expected
    entry.answered()
    assert not entry.is_hopeless()

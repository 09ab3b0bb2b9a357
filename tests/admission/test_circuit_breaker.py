"""Whether an endpoint is asked at all: throttling and probes, with a clock of the test's own."""

import asyncio
from collections.abc import Callable

import pytest

from clickhouse_rerank.admission.circuit_breaker import CircuitBreaker
from clock import Clock


def breaker(chance: float = 0.0) -> tuple[CircuitBreaker, Clock]:
    clock = Clock()
    return CircuitBreaker(clock, lambda: chance), clock


def test_a_failing_endpoint_is_spared_all_but_a_probe_a_second() -> None:
    """After an outage's failures nothing is sent but one request a second; one that is answered closes the breaker."""
    entry, clock = breaker()
    for _ in range(50):
        entry.failed()
    assert [entry.allows() for _ in range(5)] == [True, False, False, False, False]
    clock.now += 1
    assert [entry.allows() for _ in range(5)] == [True, False, False, False, False]
    entry.answered()
    assert all(entry.allows() for _ in range(50))


def test_an_endpoint_that_answers_half_is_asked_all() -> None:
    """No request is withheld while at least half are accepted; what is older than 30 s does not count."""
    entry, clock = breaker()
    for _ in range(50):
        entry.failed()
        entry.answered()
    assert all(entry.allows() for _ in range(50))
    for _ in range(500):
        entry.failed()
    assert not all(entry.allows() for _ in range(5))
    clock.now += 31
    assert entry.allows()
    assert entry.allows()


def test_the_surplus_is_the_probability_to_be_withheld() -> None:
    """Of 49 requests that all failed, 49/50 are surplus."""
    for chance, expected in ((0.97, [True, False]), (0.98, [True, True])):
        entry, _ = breaker(chance)
        for _ in range(49):
            entry.failed()
        assert [entry.allows(), entry.allows()] == expected


def test_an_endpoint_is_healthy_that_answers_nearly_all_of_many() -> None:
    """Forty-nine answers are too few to tell, one failure in ten is the most."""
    entry, clock = breaker()
    for _ in range(49):
        entry.answered()
    assert not entry.is_healthy()
    entry.answered()
    assert entry.is_healthy()
    for _ in range(5):
        entry.failed()
    assert entry.is_healthy()
    entry.failed()
    assert not entry.is_healthy()
    clock.now += 31
    assert not entry.is_healthy()


@pytest.mark.parametrize(
    ("event", "expected", "may_probe"),
    [
        (CircuitBreaker.answered, True, True),
        (CircuitBreaker.failed, False, False),
        (CircuitBreaker.rate_limited, False, False),
        (CircuitBreaker.withdrawn, False, True),
    ],
)
def test_the_others_of_a_probes_time_wait_for_its_outcome(
    event: Callable[[CircuitBreaker], None], expected: bool, may_probe: bool
) -> None:
    """To withhold them would fail the query that probes. One that gives up waiting disturbs nobody."""

    async def run() -> list[object]:
        entry, _ = breaker()
        for _ in range(50):
            entry.failed()
        assert not await entry.allows_after_probe(), "there is no probe under way"
        assert entry.allows() and not entry.allows()
        waiting = [asyncio.create_task(entry.allows_after_probe()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        waiting[0].cancel()
        event(entry)
        cancelled, *others = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(cancelled, asyncio.CancelledError)
        return [*others, entry.allows()]

    assert asyncio.run(run()) == [expected, expected, may_probe]

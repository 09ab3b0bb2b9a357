"""How hard an endpoint is asked: admission, halving, budget and throttle, with a clock of the test's own."""

import asyncio
import time

from clickhouse_rerank.admission.gate import Gate
from clickhouse_rerank.errors import ProviderFailedError


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def gate(most: int = 8, chance: float = 0.0) -> tuple[Gate, Clock]:
    clock = Clock()
    return Gate(most, clock, lambda: chance), clock


def test_places_are_bounded_and_given_in_order() -> None:
    """Never more than the limit inside; those who wait enter in the order they came."""

    async def run() -> tuple[list[int], int]:
        entry, _ = gate(2)
        entered: list[int] = []
        inside = most = 0

        async def visit(number: int) -> None:
            nonlocal inside, most
            async with entry.place(entry.ticket()):
                entered.append(number)
                inside += 1
                most = max(most, inside)
                for _ in range(3):
                    await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(visit(number) for number in range(9)))
        return entered, most

    assert asyncio.run(run()) == (list(range(9)), 2)


def test_one_who_gives_up_waiting_takes_no_place() -> None:
    """Cancelling a waiter, before or in the moment of its turn, leaves the gate as wide as before."""

    async def run() -> int:
        entry, _ = gate(1)
        await entry._enter(entry.ticket())
        waiters = [asyncio.create_task(entry._enter(entry.ticket())) for _ in range(3)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        entry._leave()
        waiters[1].cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        return sum(not waiter.cancelled() for waiter in waiters)

    assert asyncio.run(run()) == 1


def test_one_who_is_rejected_and_cancelled_at_once_gives_back_nothing() -> None:
    """It held no place; and each of those rejected has an error of its own."""

    async def run() -> tuple[int, bool]:
        entry = Gate(1, patience_s=1.0)
        await entry._enter(entry.ticket())
        waiters = [asyncio.create_task(entry._enter(entry.ticket())) for _ in range(3)]
        await asyncio.sleep(0)
        entry.crowded(time.monotonic(), 2.0, ProviderFailedError("RATE_LIMIT", "spent", wait_s=2.0))
        waiters[0].cancel()
        cancelled, *others = await asyncio.gather(*waiters, return_exceptions=True)
        assert isinstance(cancelled, asyncio.CancelledError)
        assert all(isinstance(other, ProviderFailedError) for other in others)
        return entry._in_flight, others[0] is not others[1]

    assert asyncio.run(run()) == (1, True)


def test_too_many_halves_once_per_round_and_success_widens() -> None:
    """Refusals of those that were under way together halve once, again only after a success; two give a place back."""
    asyncio.run(_halves())


async def _halves() -> None:
    entry, clock = gate(64)
    sent = clock.now
    clock.now += 1
    for _ in range(10):
        entry.crowded(sent)
    assert entry.limit == 32
    clock.now += 1
    entry.crowded(clock.now)
    assert entry.limit == 1, "one at a time looks whether it is over"
    entry.accepted()
    assert entry.limit == 32
    entry.accepted()
    assert entry.limit == 33
    for _ in range(2000):
        entry.accepted()
    assert entry.limit == 64
    for _ in range(100):
        entry.accepted()
        clock.now += 1
        entry.crowded(clock.now)
    assert entry.limit == 1


def test_f13_retries_are_paid_from_a_budget_that_success_refills() -> None:
    """Twenty retries in a total outage, then none; five successes pay for one more."""
    entry, _ = gate()
    assert sum(entry.pay_for_retry() for _ in range(1000)) == 20
    for _ in range(5):
        entry.accepted()
    assert [entry.pay_for_retry(), entry.pay_for_retry()] == [True, False]


def test_a_failing_endpoint_is_spared_all_but_a_look_a_second() -> None:
    """After an outage's failures nothing is sent but one request a second; one that succeeds opens the gate again."""
    entry, clock = gate(chance=0.0)
    for _ in range(50):
        entry.failed()
    assert [entry.admits() for _ in range(5)] == [True, False, False, False, False]
    clock.now += 1
    assert [entry.admits() for _ in range(5)] == [True, False, False, False, False]
    entry.accepted()
    assert all(entry.admits() for _ in range(50))


def test_an_endpoint_that_answers_half_is_asked_all() -> None:
    """No request is withheld while at least half are accepted; what is older than 30 s does not count."""
    entry, clock = gate(chance=0.0)
    for _ in range(50):
        entry.failed()
        entry.accepted()
    assert all(entry.admits() for _ in range(50))
    for _ in range(500):
        entry.failed()
    assert not all(entry.admits() for _ in range(5))
    clock.now += 31
    assert entry.admits()
    assert entry.admits()


def test_an_endpoint_is_healthy_that_answers_nearly_all_of_many() -> None:
    """Forty-nine answers are too few to tell, one failure in ten is the most."""
    entry, clock = gate()
    for _ in range(49):
        entry.accepted()
    assert not entry.is_healthy()
    entry.accepted()
    assert entry.is_healthy()
    for _ in range(5):
        entry.failed()
    assert entry.is_healthy()
    entry.failed()
    assert not entry.is_healthy()
    clock.now += 31
    assert not entry.is_healthy()


def test_refused_rows_wait_for_the_pause_and_go_first() -> None:
    """Nobody enters before the wait that the endpoint named is over; a row turned away enters before new ones."""

    async def run() -> list[str]:
        entry = Gate(2)
        order: list[str] = []

        async def visit(name: str, ticket: int) -> None:
            async with entry.place(ticket):
                order.append(name)

        earlier = entry.ticket()
        entry.crowded(asked_at=time.monotonic(), wait_s=0.05)
        tickets = {"new": entry.ticket(), "newer": entry.ticket(), "again": earlier}
        visits = [asyncio.create_task(visit(name, ticket)) for name, ticket in tickets.items()]
        await asyncio.sleep(0)
        assert order == []
        await asyncio.gather(*visits)
        return order

    assert asyncio.run(run()) == ["again", "new", "newer"]

"""Which request is next: places, order, cancellation, and a queue that is closed."""

import asyncio

from clickhouse_rerank.admission.ticket_queue import TicketQueue
from clickhouse_rerank.errors import ProviderFailedError

ERROR = ProviderFailedError("RATE_LIMIT", "spent", wait_s=2.0)


def queue(places: int) -> TicketQueue:
    return TicketQueue(lambda in_flight: in_flight < places)


async def enter(entry: TicketQueue, ticket: int | None = None) -> None:
    """Take a place, now or in turn."""
    ticket = entry.ticket() if ticket is None else ticket
    if not entry.enter():
        await entry.wait(ticket)


def test_places_are_bounded_and_given_in_order() -> None:
    """Never more than the limit in flight; those that wait enter in the order they came."""

    async def run() -> tuple[list[int], int]:
        entry = queue(2)
        entered: list[int] = []
        most = 0

        async def visit(number: int) -> None:
            nonlocal most
            await enter(entry)
            entered.append(number)
            most = max(most, entry.in_flight)
            for _ in range(3):
                await asyncio.sleep(0)
            entry.leave()

        await asyncio.gather(*(visit(number) for number in range(9)))
        assert entry.is_idle
        return entered, most

    assert asyncio.run(run()) == (list(range(9)), 2)


def test_the_oldest_ticket_goes_first() -> None:
    """A request that comes back with its ticket is before those that waited when it came."""

    async def run() -> list[str]:
        entry = queue(1)
        order: list[str] = []

        async def visit(name: str, ticket: int) -> None:
            await enter(entry, ticket)
            order.append(name)
            entry.leave()

        earlier = entry.ticket()
        await enter(entry)
        tickets = {"new": entry.ticket(), "newer": entry.ticket(), "again": earlier}
        visits = [asyncio.create_task(visit(name, ticket)) for name, ticket in tickets.items()]
        await asyncio.sleep(0)
        entry.leave()
        await asyncio.gather(*visits)
        return order

    assert asyncio.run(run()) == ["again", "new", "newer"]


def test_a_free_place_is_not_taken_before_those_that_wait() -> None:
    """Room that nobody was let into yet belongs to the line."""

    async def run() -> bool:
        room = [0]
        entry = TicketQueue(lambda in_flight: in_flight < room[0])
        waiter = asyncio.create_task(enter(entry))
        await asyncio.sleep(0)
        room[0] = 1
        assert not entry.enter()
        entry.admit()
        await waiter
        return entry.enter()

    assert not asyncio.run(run())


def test_one_that_gives_up_waiting_takes_no_place() -> None:
    """Cancelling a waiter, before or in the moment of its turn, leaves the places to the others."""

    async def run() -> tuple[int, int]:
        entry = queue(1)
        await enter(entry)
        waiters = [asyncio.create_task(enter(entry)) for _ in range(3)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        entry.leave()
        waiters[1].cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        return sum(not waiter.cancelled() for waiter in waiters), entry.in_flight

    assert asyncio.run(run()) == (1, 1)


def test_one_that_is_failed_and_cancelled_at_once_gives_back_nothing() -> None:
    """It held no place; and each of those that failed has an error of its own."""

    async def run() -> tuple[int, bool]:
        entry = queue(1)
        await enter(entry)
        waiters = [asyncio.create_task(enter(entry)) for _ in range(3)]
        await asyncio.sleep(0)
        entry.close(ERROR)
        waiters[0].cancel()
        cancelled, *others = await asyncio.gather(*waiters, return_exceptions=True)
        assert isinstance(cancelled, asyncio.CancelledError)
        assert all(str(other) == str(ERROR) for other in others)
        return entry.in_flight, others[0] is not others[1]

    assert asyncio.run(run()) == (1, True)


def test_a_closed_queue_fails_each_that_comes_until_it_is_open_again() -> None:
    """Each with an error of its own, that says the same."""
    entry = queue(1)
    entry.close(ERROR)
    seen = []
    for _ in range(2):
        try:
            entry.enter()
        except ProviderFailedError as error:
            seen.append(error)
    assert [(error.code, error.message, error.wait_s) for error in seen] == [("RATE_LIMIT", "spent", 2.0)] * 2
    assert seen[0] is not seen[1] and ERROR not in seen and entry.is_closed
    entry.reopen()
    assert entry.enter() and not entry.is_closed

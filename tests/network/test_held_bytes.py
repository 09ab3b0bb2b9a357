"""A budget of bytes: large bodies take turns, in order, and nothing is lost when a row gives up."""

from __future__ import annotations

import asyncio

from clickhouse_rerank.network.held_bytes import HeldBytes


async def settled() -> None:
    """Every task that can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_reservations_wait_in_order() -> None:
    """Two of 60 fit in 120 and a third waits; a small one behind it does not overtake."""

    async def run() -> list[str]:
        held, order = HeldBytes(120), []

        async def take(name: str, size: int) -> int:
            reserved = await held.reserve(size, name)
            order.append(name)
            return reserved

        first, second = await take("a", 60), await take("b", 60)
        tasks = [asyncio.create_task(take("c", 100)), asyncio.create_task(take("d", 10))]
        await settled()
        assert order == ["a", "b"]
        held.release(first, "a")
        await settled()
        assert order == ["a", "b"]
        held.release(second, "b")
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(run()) == ["a", "b", "c", "d"]


def test_a_row_that_gives_up_keeps_nothing() -> None:
    """Neither while it waits nor in the moment of its turn."""

    async def run() -> None:
        held = HeldBytes(100)
        first = await held.reserve(100, "a")
        waiting = asyncio.create_task(held.reserve(100, "a"))
        granted = asyncio.create_task(held.reserve(100, "a"))
        await settled()
        waiting.cancel()
        await settled()
        held.release(first, "a")
        granted.cancel()  # its turn has come, and it has not run since
        await settled()
        assert await asyncio.wait_for(held.reserve(100, "a"), 1) == 100

    asyncio.run(run())


def test_a_body_larger_than_the_budget_takes_all_of_it() -> None:
    """It waits for the others, and is read alone."""

    async def run() -> int:
        return await HeldBytes(100).reserve(1000, "a")

    assert asyncio.run(run()) == 100


def test_a_host_that_holds_its_share_does_not_stop_another() -> None:
    """It holds half of the budget for as long as it likes, and waits itself for the rest."""

    async def run() -> None:
        held = HeldBytes(100)
        first = await held.reserve(50, "endless")
        waiting = [asyncio.create_task(held.reserve(10, "endless")) for _ in range(3)]
        await settled()
        assert not any(task.done() for task in waiting)
        assert await asyncio.wait_for(held.reserve(50, "other"), 1) == 50
        held.release(first, "endless")
        assert await asyncio.wait_for(asyncio.gather(*waiting), 1) == [10, 10, 10]

    asyncio.run(run())


def test_a_host_that_waits_keeps_its_place() -> None:
    """Before its own share is held, nobody overtakes it: a large body would wait for ever."""

    async def run() -> None:
        held = HeldBytes(100)
        first = await held.reserve(50, "a")
        large = asyncio.create_task(held.reserve(100, "b"))
        small = asyncio.create_task(held.reserve(10, "c"))
        await settled()
        assert not large.done() and not small.done()
        held.release(first, "a")
        await settled()
        assert large.done() and not small.done()
        held.release(await large, "b")
        assert await asyncio.wait_for(small, 1) == 10

    asyncio.run(run())

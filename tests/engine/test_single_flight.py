"""Equal work is done once, and its failure reaches the caller whose work it was."""

from __future__ import annotations

import asyncio

import pytest

from asking import HANG_S
from clickhouse_rerank.engine.single_flight import SingleFlight


def test_callers_of_one_key_share_one_result() -> None:
    """Also a caller that comes after it is done; another key is work of its own."""

    async def run() -> None:
        flights: SingleFlight[list[str]] = SingleFlight()
        started: list[str] = []
        gate = asyncio.Event()

        async def work(name: str) -> list[str]:
            started.append(name)
            await gate.wait()
            return [name]

        callers = [asyncio.create_task(flights.result(key, lambda key=key: work(key))) for key in ("a", "a", "b", "a")]
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(*callers) == [(["a"], False), (["a"], True), (["b"], False), (["a"], True)]
        assert await flights.result("a", lambda: work("late")) == (["a"], True)
        assert started == ["a", "b"]

    asyncio.run(asyncio.wait_for(run(), HANG_S))


def test_a_failure_is_raised_once_and_cancels_the_others() -> None:
    """The error belongs to one row; a waiter must not report it as its own."""

    async def run() -> None:
        flights: SingleFlight[str] = SingleFlight()

        async def fail() -> str:
            await asyncio.sleep(0)
            raise ValueError("the work failed")

        first, second = (asyncio.create_task(flights.result("a", fail)) for _ in range(2))
        with pytest.raises(ValueError, match="the work failed"):
            await first
        await asyncio.wait([second], timeout=HANG_S)
        assert second.cancelled()

    asyncio.run(asyncio.wait_for(run(), HANG_S))


def test_a_waiter_that_is_canceled_takes_nothing_from_the_others() -> None:
    """The work goes on, and the third caller gets its result."""

    async def run() -> None:
        flights: SingleFlight[str] = SingleFlight()
        gate = asyncio.Event()

        async def work() -> str:
            await gate.wait()
            return "done"

        first, second, third = (asyncio.create_task(flights.result("a", work)) for _ in range(3))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        gate.set()
        assert second.cancelled()
        assert await asyncio.gather(first, third) == [("done", False), ("done", True)]

    asyncio.run(asyncio.wait_for(run(), HANG_S))

"""Ordered, bounded concurrency."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse_rerank.engine.ordered_tasks import OrderedTasks

HANG_S = 20


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a test's coroutine; exceptions in callbacks, which a loop only logs, fail it."""
    strays: list[dict[str, Any]] = []

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: strays.append(context))
        return await asyncio.wait_for(main, HANG_S)

    result = asyncio.run(watched())
    assert not strays
    return result


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@given(order=st.permutations(range(7)), ahead=st.integers(1, 9))
def test_results_come_in_row_order(order: list[int], ahead: int) -> None:
    """However the rows finish, results come in row order, and none is lost."""

    async def main() -> None:
        gates = [asyncio.Event() for _ in order]

        async def work(row: int) -> int:
            await gates[row].wait()
            return row

        async def release() -> None:
            for row in order:
                gates[row].set()
                await asyncio.sleep(0)

        releasing = asyncio.create_task(release())
        got = [row async for results in OrderedTasks(numbers(len(order)), work, ahead) for row in results]
        assert got == list(range(len(order)))
        await releasing

    run(main())


def test_the_head_row_is_given_as_soon_as_it_is_done() -> None:
    """A finished head row does not wait for the rows behind it; a finished row behind it waits for the head."""

    async def main() -> None:
        gates = [asyncio.Event() for _ in range(3)]

        async def work(row: int) -> int:
            await gates[row].wait()
            return row

        window = aiter(OrderedTasks(numbers(3), work, 3))
        gates[1].set()
        head = asyncio.ensure_future(anext(window))
        await settle()
        assert not head.done()
        gates[0].set()
        assert await head == [0, 1]
        gates[2].set()
        assert await anext(window) == [2]

    run(main())


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_rows_are_at_work_than_allowed(ahead: int) -> None:
    """Rows that are finished but not taken count too, so that a slow head bounds what is held."""

    async def main() -> None:
        started: list[int] = []
        head = asyncio.Event()

        async def work(row: int) -> int:
            started.append(row)
            if row == 0:
                await head.wait()
            return row

        window = OrderedTasks(numbers(10), work, ahead)
        results = aiter(window)
        first = asyncio.ensure_future(anext(results))
        await settle()
        assert started == list(range(ahead))
        head.set()
        assert await first == list(range(ahead))
        assert [row async for more in results for row in more] == list(range(ahead, 10))

    run(main())


def test_the_oldest_failure_is_raised_at_once() -> None:
    """A failed row raises while rows before it are still at work; of two failures the older one is raised."""

    async def main() -> None:
        gate = asyncio.Event()

        async def work(row: int) -> int:
            if row == 0:
                await asyncio.Event().wait()
            await gate.wait()
            raise ValueError(row)

        window = OrderedTasks(numbers(3), work, 3)
        first = asyncio.ensure_future(anext(aiter(window)))
        await settle()
        gate.set()
        with pytest.raises(ValueError, match=r"^1$"):
            await first
        await window.cancel()

    run(main())


def test_cancel_stops_all_work() -> None:
    """After cancel no row is at work any more, and no further row is taken."""

    async def main() -> None:
        at_work: set[int] = set()
        taken: list[int] = []

        async def rows() -> AsyncIterator[int]:
            for number in range(100):
                taken.append(number)
                yield number

        async def work(row: int) -> int:
            at_work.add(row)
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                at_work.discard(row)
            return row

        before = asyncio.all_tasks()
        window = OrderedTasks(rows(), work, 4)
        await settle()
        assert at_work == {0, 1, 2, 3}
        await window.cancel()
        assert not at_work
        assert asyncio.all_tasks() == before
        count = len(taken)
        await settle()
        assert len(taken) == count

    run(main())


def test_no_rows_end_at_once() -> None:
    """A chunk of no rows gives nothing and does not wait."""

    async def main() -> None:
        async def work(row: int) -> int:
            return row

        assert [row async for row in OrderedTasks(numbers(0), work, 4)] == []

    run(main())


def test_a_result_may_be_taken_before_its_callback() -> None:
    """A consumer that wakes between a row's end and its callback takes the row without leaving an error behind."""

    async def main() -> None:
        gates = [asyncio.Event() for _ in range(2)]

        async def work(row: int) -> int:
            await gates[row].wait()
            return row

        window = aiter(OrderedTasks(numbers(2), work, 2))
        gates[0].set()
        assert await anext(window) == [0]
        gates[1].set()  # the row's task runs next, then this one, then the callback
        await asyncio.sleep(0)
        assert await anext(window) == [1]
        with pytest.raises(StopAsyncIteration):
            await anext(window)

    run(main())

"""Ordered, bounded concurrency: many rows are at work, and results come in row order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Places:
    """A number of places, of which each row takes some."""

    def __init__(self, places: int) -> None:
        self._free = self._all = places
        self._change = asyncio.Event()

    def take(self, places: int) -> bool:
        """Take places, if enough are free. A row that needs more than there are takes all."""
        if self._free < min(places, self._all):
            return False
        self._free -= min(places, self._all)
        return True

    def give(self, places: int) -> None:
        self._free += places
        self._change.set()

    async def changed(self) -> None:
        self._change.clear()
        await self._change.wait()


@dataclass(frozen=True, slots=True)
class Arriving(Generic[Item]):
    """What to ask and tell while rows arrive."""

    places: Callable[[Item], int] = lambda _: 1
    """How many places a row takes."""
    stalls: Callable[[], None] = lambda: None
    """Called when all places are taken."""
    settles: Callable[[], None] = lambda: None
    """Called when all results that there are so far are taken."""
    goes_on: Callable[[], None] = lambda: None
    """Called when a row begins."""
    ends: Callable[[], None] = lambda: None
    """Called when the last row has begun."""


class OrderedTasks(Generic[Item, Result]):
    """Runs `work` on rows. Those at work, and those finished with a result that is not yet taken, take places.

    Iteration gives lists of results in row order, each as soon as the oldest unfinished row is done. An exception of
    any row is raised at once (that of the oldest row, if several failed). `cancel` stops all work.
    """

    def __init__(
        self,
        rows: AsyncIterator[Item],
        work: Callable[[Item], Coroutine[Any, Any, Result]],
        places: int,
        arriving: "Arriving[Item] | None" = None,
    ) -> None:
        self._rows = rows
        self._work = work
        self._places = _Places(places)
        self._arriving = arriving or Arriving()
        self._tasks: deque[asyncio.Task[Result]] = deque()
        self._costs: deque[int] = deque()
        self._change = asyncio.Event()
        self._filler = asyncio.create_task(self._fill())

    async def __aiter__(self) -> AsyncIterator[list[Result]]:
        tasks = self._tasks
        while not self._filler.done() or tasks:
            done: list[Result] = []
            while tasks and tasks[0].done() and not tasks[0].exception():
                done.append(tasks.popleft().result())
                self._places.give(self._costs.popleft())
            if done:
                yield done
                continue
            for task in tasks:
                if task.done():
                    task.result()
            if self._filler.done():
                self._filler.result()
                if not tasks:
                    break
            self._change.clear()
            await asyncio.sleep(0)  # rows that take the free places have begun
            if tasks and tasks[0].done():
                continue
            self._arriving.settles()
            await self._change.wait()
        self._filler.result()

    async def cancel(self) -> None:
        """Stop all work and wait until it has stopped."""
        self._filler.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(self._filler, *self._tasks, return_exceptions=True)

    async def _fill(self) -> None:
        try:
            async for row in self._rows:
                cost = self._arriving.places(row)
                while not self._places.take(cost):
                    await asyncio.sleep(0)  # the rows before have begun
                    self._arriving.stalls()
                    self._change.set()
                    await self._places.changed()
                self._arriving.goes_on()
                task = asyncio.create_task(self._work(row))
                task.add_done_callback(self._finished)
                self._tasks.append(task)
                self._costs.append(cost)
            await asyncio.sleep(0)
            self._arriving.ends()
        finally:
            self._change.set()

    def _finished(self, task: asyncio.Task[Result]) -> None:
        # The result may have been taken before this callback runs; then the task is no longer the oldest.
        if task.cancelled() or task.exception() is not None or (self._tasks and task is self._tasks[0]):
            self._change.set()

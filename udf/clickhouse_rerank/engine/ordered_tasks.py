"""Ordered, bounded concurrency: many rows are at work, and results come in row order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class OrderedTasks(Generic[Item, Result]):
    """Runs `work` on rows. At most `limit` rows are at work, or finished with a result that is not yet taken.

    Iteration gives lists of results in row order, each as soon as the oldest unfinished row is done. An exception of
    any row is raised at once (that of the oldest row, if several failed). `cancel` stops all work.
    """

    def __init__(
        self, rows: AsyncIterator[Item], work: Callable[[Item], Coroutine[Any, Any, Result]], limit: int
    ) -> None:
        self._rows = rows
        self._work = work
        self._places = asyncio.Semaphore(limit)
        self._tasks: deque[asyncio.Task[Result]] = deque()
        self._change = asyncio.Event()
        self._filler = asyncio.create_task(self._fill())

    async def __aiter__(self) -> AsyncIterator[list[Result]]:
        tasks = self._tasks
        while not self._filler.done() or tasks:
            done: list[Result] = []
            while tasks and tasks[0].done() and not tasks[0].exception():
                done.append(tasks.popleft().result())
                self._places.release()
            if done:
                yield done
                continue
            for task in tasks:
                if task.done():
                    task.result()
            if self._filler.done() and not tasks:
                break
            self._change.clear()
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
                await self._places.acquire()
                task = asyncio.create_task(self._work(row))
                task.add_done_callback(self._finished)
                self._tasks.append(task)
        finally:
            self._change.set()

    def _finished(self, task: asyncio.Task[Result]) -> None:
        # The result may have been taken before this callback runs; then the task is no longer the oldest.
        if task.cancelled() or task.exception() is not None or (self._tasks and task is self._tasks[0]):
            self._change.set()

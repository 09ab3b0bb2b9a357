"""Ordered, bounded concurrency: many rows at work, results in row order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class OrderedTasks(Generic[Item, Result]):
    """Runs `work` on rows, at most `ahead` of them at work or finished and not yet taken.

    Iterating gives lists of results in row order, each as soon as the oldest unfinished row is done. The first
    exception of any row is raised at once (the oldest row's, where several failed); `cancel` stops all work.
    """

    def __init__(
        self, rows: AsyncIterator[Item], work: Callable[[Item], Coroutine[Any, Any, Result]], ahead: int
    ) -> None:
        self._rows = rows
        self._work = work
        self._room = asyncio.Semaphore(ahead)
        self._tasks: deque[asyncio.Task[Result]] = deque()
        self._change = asyncio.Event()
        self._filler = asyncio.create_task(self._fill())

    async def __aiter__(self) -> AsyncIterator[list[Result]]:
        tasks = self._tasks
        while not self._filler.done() or tasks:
            done: list[Result] = []
            while tasks and tasks[0].done() and not tasks[0].exception():
                done.append(tasks.popleft().result())
                self._room.release()
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
                await self._room.acquire()
                task = asyncio.create_task(self._work(row))
                task.add_done_callback(self._finished)
                self._tasks.append(task)
        finally:
            self._change.set()

    def _finished(self, task: asyncio.Task[Result]) -> None:
        # Its result may have been taken before this callback's turn.
        if task.cancelled() or task.exception() is not None or (self._tasks and task is self._tasks[0]):
            self._change.set()

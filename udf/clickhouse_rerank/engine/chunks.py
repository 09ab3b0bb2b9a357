"""One chunk: as many answers as rows, in order, whatever happens to a row."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256

from ..errors import RerankError
from ..reranker import Reranker
from ..types import Ranking
from ..usage.recorder import RowUsage
from .formats import Format
from .ordered_tasks import OrderedTasks

_AHEAD_OF_IN_FLIGHT = 4
_MAX_HELD_BYTES = 16 << 20
_TOLD: Ranking = [(0, math.nan)]


class Chunk:
    """The rows of one chunk, as they arrive."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._held_bytes = 0
        self._freed = asyncio.Event()
        self._given_up = False
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._arrived = 0
        self._complete = asyncio.Event()

    def add(self, row: bytes) -> None:
        """One more row's bytes."""
        if not self._given_up:
            self._queue.put_nowait(row)
            self._held_bytes += len(row)
        self._arrived += 1
        if self._arrived == self.rows:
            self._complete.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.rows):
            yield await self._queue.get()

    def done(self, size: int) -> None:
        """A row of this many bytes is answered, but for its turn."""
        self._held_bytes -= size
        self._freed.set()

    def is_full(self) -> bool:
        """Whether enough rows are at work or wait, and more are to come."""
        return self._held_bytes > _MAX_HELD_BYTES and self._arrived < self.rows

    async def freed(self, timeout_s: float) -> None:
        """Wait until a row is done, but not longer than `timeout_s`."""
        self._freed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._freed.wait()

    async def drained(self) -> None:
        """Let go of all rows, and wait for the last: answers before it would leave the rest to the next chunk."""
        self._given_up = True
        self._queue = asyncio.Queue()
        self._held_bytes = 0
        self._freed.set()
        if self.rows:
            await self._complete.wait()


class Answerer:
    """Answers chunks in one format; `write` takes answers, `report` the one line of a failed query."""

    def __init__(
        self,
        reranker: Reranker,
        fmt: Format,
        ahead: int,
        write: Callable[[bytes], Awaitable[None]],
        report: Callable[[RerankError], Awaitable[None]],
    ) -> None:
        self._reranker = reranker
        self._format = fmt
        self._ahead = ahead * _AHEAD_OF_IN_FLIGHT
        self._write = write
        self._report = report

    async def answer(self, chunk: Chunk) -> None:
        """Write exactly `chunk.rows` answers. A failed row fails the query: one report, then empty answers."""
        known: dict[bytes, tuple[asyncio.Future[Ranking], RowUsage]] = {}
        written = 0

        async def work(raw: bytes) -> bytes:
            size = len(raw)
            row = self._format.decode(raw)
            # Equal rows are one call: ClickHouse repeats constant arguments in every row.
            key = sha256(raw, usedforsecurity=False).digest()
            del raw
            told = self._reranker.dry_run(row)
            if told is not None:
                chunk.done(size)
                return self._format.encode([told], _TOLD)
            if key in known:
                answer, account = known[key]
                ranking = await asyncio.shield(answer)
                self._reranker.repeated(account)
            else:
                answer, account = known[key] = asyncio.get_running_loop().create_future(), RowUsage()
                try:
                    ranking = await self._reranker.rank(row, account, key)
                except BaseException:
                    answer.cancel()
                    raise
                answer.set_result(ranking)
            chunk.done(size)
            return self._format.encode(row.documents, ranking)

        window = OrderedTasks(aiter(chunk), work, self._ahead)
        counts = self._reranker.counts
        counts.of += chunk.rows
        try:
            self._reranker.check_rows(chunk.rows)
            async for answers in window:
                written += len(answers)
                counts.rows += len(answers)
                # Before the last answers: who has them all may read the lines.
                await self._reranker.record(every=written == chunk.rows)
                await self._write(b"".join(answers))
        except RerankError as error:
            await window.cancel()
            await chunk.drained()
            await self._reranker.record(every=True)
            # Before the empty answers: the engine raises what stands on stderr when it has its rows.
            await self._report(error)
            await self._write(self._format.EMPTY * (chunk.rows - written))

"""One chunk: exactly as many answers as rows, in row order, even if a row fails."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from hashlib import sha256

from ..errors import RerankError
from ..reranker import Reranker
from ..types import Ranking, Row
from ..usage.recorder import RowUsage
from .formats import Format
from .ordered_tasks import OrderedTasks
from .single_flight import SingleFlight

_ROWS_PER_PLACE = 4
"""Rows at work for each row that may be in flight: some wait for their turn to be written."""
_MAX_HELD_BYTES = 16 << 20
_MAX_WAITING_ROWS = 1024
"""Rows that were read and are not yet at work. More would not be answered sooner, and each takes memory."""
_ONE_UNSCORED = Ranking([(0, math.nan)])


class Chunk:
    """The rows of one chunk as they arrive. `rows` is their number, from the chunk's header."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._held_bytes = 0
        self._freed = asyncio.Event()
        self._is_dropped = False
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._arrived = 0
        self._complete = asyncio.Event()

    def add(self, row: bytes) -> None:
        """Take the bytes of one more row."""
        if not self._is_dropped:
            self._queue.put_nowait(row)
            self._held_bytes += len(row)
        self._arrived += 1
        if self._arrived == self.rows:
            self._complete.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.rows):
            yield await self._queue.get()

    def free(self, size: int) -> None:
        """Stop counting a row of `size` bytes: its answer is ready."""
        self._held_bytes -= size
        if not self.is_full():
            self._freed.set()

    def is_full(self) -> bool:
        """Whether the chunk holds many rows, or many bytes of rows without an answer, and more are still to arrive."""
        holds_much = self._held_bytes > _MAX_HELD_BYTES or self._queue.qsize() > _MAX_WAITING_ROWS
        return holds_much and self._arrived < self.rows

    async def freed(self, timeout_s: float) -> None:
        """Wait until the chunk is no longer full, at most `timeout_s` seconds."""
        self._freed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._freed.wait()

    async def drain(self) -> None:
        """Drop all rows, and wait until the last has arrived.

        If the answers were written earlier, the engine would take the chunk as done, and rows that are still on their
        way would be read as the next chunk.
        """
        self._is_dropped = True
        self._queue = asyncio.Queue()
        self._held_bytes = 0
        self._freed.set()
        if self.rows:
            await self._complete.wait()


class Answerer:
    """Answers chunks in one format. `write` takes answers; `report` takes the one error line of a failed query."""

    def __init__(
        self,
        reranker: Reranker,
        fmt: Format,
        max_in_flight: int,
        write: Callable[[bytes], Awaitable[None]],
        report: Callable[[RerankError], Awaitable[None]],
    ) -> None:
        self._reranker = reranker
        self._format = fmt
        self._max_rows = max_in_flight * _ROWS_PER_PLACE
        self._write = write
        self._report = report

    async def answer(self, chunk: Chunk) -> None:
        """Write exactly `chunk.rows` answers. A failed row fails the query: one report, then empty answers."""
        counts = self._reranker.counts
        counts.of += chunk.rows
        work = partial(self._answer_row, chunk, SingleFlight())
        tasks = OrderedTasks(aiter(chunk), work, self._max_rows)
        written = 0
        try:
            self._reranker.check_rows(chunk.rows)
            async for answers in tasks:
                written += len(answers)
                counts.rows += len(answers)
                # Before the last answers: a client that has them all may read the usage log.
                await self._reranker.write_usage(every=written == chunk.rows)
                await self._write(b"".join(answers))
        except RerankError as error:
            await tasks.cancel()
            await chunk.drain()
            await self._reranker.write_usage(every=True)
            # Before the empty answers: the engine raises what is on stderr when it has read its rows.
            await self._report(error)
            await self._write(self._format.EMPTY * (chunk.rows - written))

    async def _answer_row(self, chunk: Chunk, flights: "SingleFlight[tuple[Ranking, RowUsage]]", raw: bytes) -> bytes:
        """The answer of a row, encoded. Equal rows are ranked once: ClickHouse repeats constant arguments."""
        size = len(raw)
        row = self._format.decode(raw)
        digest = sha256(raw, usedforsecurity=False).digest()
        del raw  # may be large, and the row may wait long
        dry_run = self._reranker.dry_run(row)
        if dry_run is not None:
            chunk.free(size)
            return self._format.encode([dry_run], _ONE_UNSCORED)
        (ranking, usage), is_repeat = await flights.result(digest, partial(self._rank, row, digest))
        if is_repeat:
            self._reranker.count_repeat(usage)
        chunk.free(size)
        return self._format.encode(row.documents, ranking)

    async def _rank(self, row: Row, digest: bytes) -> tuple[Ranking, RowUsage]:
        usage = RowUsage()
        return await self._reranker.rank(row, usage, digest), usage

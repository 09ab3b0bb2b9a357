"""One chunk: exactly as many answers as rows, in row order, even if a row fails."""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from hashlib import sha256
from typing import NamedTuple

from ..config.tables import Limits
from ..errors import RerankError
from ..reranker import Reranker
from ..types import Ranking, Row
from ..usage.recorder import RowUsage
from . import chunk_limits
from .formats import Format
from .ordered_tasks import Arriving, OrderedTasks
from .packed_ranking import PackedRanking, packed
from .single_flight import SingleFlight

_PAUSES = 5
_PAUSE_S = 0.01
"""After so many such times without a row, rows no longer wait for company. One may pass while the loop is busy."""
_ROWS_PER_PLACE = 4
"""Rows at work for each row that may be in flight: some wait for their turn to be written."""
_MAX_SHARING_ROWS = 16_384
"""Rows that may share requests, and are at work in place of the others."""
_MAX_HELD_BYTES = 16 << 20
_MAX_WAITING_ROWS = 1024
"""Rows that were read and are not yet at work. More would not be answered sooner, and each takes memory."""
_ONE_UNSCORED = Ranking([(0, math.nan)])


class Chunk:
    """The rows of one chunk as they arrive. `rows` is their number, from the header, which arrived at `began`."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.began = asyncio.get_running_loop().time()
        self._held_bytes = 0
        self._freed = asyncio.Event()
        self._is_dropped = False
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.on_pause: Callable[[], None] = lambda: None
        """Called when no further row has arrived for a while."""
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
            row = await self._next()
            if self._queue.qsize() == _MAX_WAITING_ROWS and not self.is_full():
                self._freed.set()
            yield row

    async def _next(self) -> bytes:
        if not self._queue.empty():
            return self._queue.get_nowait()
        getting = asyncio.ensure_future(self._queue.get())
        try:
            for _ in range(_PAUSES):
                await asyncio.wait([getting], timeout=0 if self.is_starved() else _PAUSE_S)
                if getting.done():
                    break
            else:
                self.on_pause()
            return await getting
        finally:
            getting.cancel()

    def free(self, size: int) -> None:
        """Stop counting a row of `size` bytes: its answer is ready."""
        self._held_bytes -= size
        if not self.is_full():
            self._freed.set()

    def is_full(self) -> bool:
        """Whether the chunk holds many rows, or many bytes of rows without an answer, and more are still to arrive."""
        holds_much = self._held_bytes > _MAX_HELD_BYTES or self._queue.qsize() > _MAX_WAITING_ROWS
        return holds_much and self._arrived < self.rows

    def is_starved(self) -> bool:
        """Whether no more rows come before rows that were taken are freed."""
        return self._held_bytes > _MAX_HELD_BYTES and self._queue.empty()

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


class _Arrived(NamedTuple):
    """A row, a hash of its bytes, and their number."""

    row: Row
    digest: bytes
    size: int


class Answerer:
    """Answers chunks in one format. `write` takes answers; `report` takes the one error line of a failed query."""

    def __init__(
        self,
        reranker: Reranker,
        fmt: Format,
        limits: Limits,
        write: Callable[[bytes], Awaitable[None]],
        report: Callable[[RerankError], Awaitable[None]],
    ) -> None:
        self._reranker = reranker
        self._format = fmt
        self._limits = limits
        self._write = write
        self._report = report

    async def answer(self, chunk: Chunk) -> None:
        """Write exactly `chunk.rows` answers. A failed row fails the query: one report, then empty answers."""
        counts = self._reranker.counts
        counts.of += chunk.rows
        written = 0
        tasks: OrderedTasks[_Arrived, bytes] | None = None
        try:
            chunk_limits.check_rows(chunk.rows, self._limits)
            calls = chunk_limits.CallCount(self._limits, self._reranker.need)
            may_exceed = chunk.rows > self._limits.max_calls
            shared = self._reranker.shared
            chunk.on_pause = shared.pause
            rows = await self._counted_ahead(chunk, calls) if may_exceed else aiter(chunk)
            work = partial(self._answer_row, chunk, calls, SingleFlight())
            alone = self._limits.max_in_flight * _ROWS_PER_PLACE
            places = max(alone, _MAX_SHARING_ROWS)
            arriving = Arriving(
                partial(self._places, places // alone), shared.stall, shared.settle, shared.expect, shared.release
            )
            tasks = OrderedTasks(self._decoded(rows), work, places, arriving)
            async for answers in tasks:
                written += len(answers)
                counts.rows += len(answers)
                # Before the last answers: a client that has them all may read the usage log.
                await self._reranker.write_usage(every=written == chunk.rows)
                await self._write(b"".join(answers))
        except RerankError as error:
            if tasks is not None:
                await tasks.cancel()
                self._reranker.shared.release()  # groups whose calls are gone
            await chunk.drain()
            await self._reranker.write_usage(every=True)
            # Before the empty answers: the engine raises what is on stderr when it has read its rows.
            await self._report(error)
            await self._write(self._format.EMPTY * (chunk.rows - written))

    async def _counted_ahead(self, chunk: Chunk, calls: chunk_limits.CallCount) -> AsyncIterator[bytes]:
        """The rows of a chunk, after those that fit into memory were counted: too many fail before the first request.

        Errors: TOO_MANY_ROWS; INPUT.
        """
        arriving = aiter(chunk)
        ahead: deque[bytes] = deque()
        while len(ahead) < chunk.rows and not chunk.is_starved():
            ahead.append(await anext(arriving))
            calls.add(self._format.decode(ahead[-1]), _digest(ahead[-1]))

        async def rows() -> AsyncIterator[bytes]:
            while ahead:
                yield ahead.popleft()
            async for row in arriving:
                yield row

        return rows()

    async def _decoded(self, rows: AsyncIterator[bytes]) -> AsyncIterator[_Arrived]:
        async for raw in rows:
            yield _Arrived(self._format.decode(raw), _digest(raw), len(raw))

    def _places(self, alone: int, arrived: _Arrived) -> int:
        return 1 if self._reranker.shares(arrived.row) else alone

    async def _answer_row(
        self,
        chunk: Chunk,
        calls: chunk_limits.CallCount,
        flights: "SingleFlight[tuple[PackedRanking, RowUsage]]",
        arrived: _Arrived,
    ) -> bytes:
        """The answer of a row, encoded. Equal rows are ranked once: ClickHouse repeats constant arguments."""
        row, digest, size = arrived
        self._reranker.shared.read(size)
        options = self._reranker.options(row)
        if options.dry_run:
            chunk.free(size)
            return self._format.encode([self._reranker.dry_run(row)], _ONE_UNSCORED)
        if chunk.rows > self._limits.max_calls:
            calls.add(row, digest)
        (kept, usage), is_repeat = await flights.result(
            digest, partial(self._rank, row, digest, chunk.began, options.deadline_s)
        )
        if is_repeat:
            self._reranker.count_repeat(usage)
        chunk.free(size)
        ranking = kept.ranking()
        return self._format.encode(self._reranker.shown(row, ranking), ranking)

    async def _rank(
        self, row: Row, digest: bytes, began: float, deadline_s: float | None
    ) -> tuple[PackedRanking, RowUsage]:
        """The ranking, packed: the rankings of a chunk are kept for equal rows. Errors: RerankError."""
        usage = RowUsage()
        if deadline_s is None:
            ranking = await self._reranker.rank(row, usage, digest)
        else:
            try:
                async with asyncio.timeout_at(began + deadline_s):
                    ranking = await self._reranker.rank(row, usage, digest)
            except TimeoutError:
                raise chunk_limits.late(deadline_s) from None
        return packed(ranking), usage


def _digest(raw: bytes) -> bytes:
    return sha256(raw, usedforsecurity=False).digest()

"""How much of a chunk the worker takes in before it leaves the rest in the pipe."""

import asyncio

import pytest

from clickhouse_rerank.engine.chunks import Chunk


def _filled(rows: int, size: int, of: int) -> Chunk:
    chunk = Chunk(of)
    for _ in range(rows):
        chunk.add(bytes(size))
    return chunk


@pytest.mark.parametrize(
    ("rows", "size", "of", "is_full"),
    [
        (1024, 10, 5000, False),
        (1025, 10, 5000, True),
        (1025, 10, 1025, False),  # none is still to arrive
        (16, 1 << 20, 5000, False),
        (17, 1 << 20, 5000, True),
    ],
)
def test_a_chunk_is_full_by_rows_and_by_bytes(rows: int, size: int, of: int, is_full: bool) -> None:
    async def check() -> None:
        assert _filled(rows, size, of).is_full() is is_full

    asyncio.run(check())


async def _take(chunk: Chunk, rows: int) -> None:
    """Take rows, without an answer to any of them."""
    arriving = aiter(chunk)
    for _ in range(rows):
        await anext(arriving)


def test_reading_goes_on_when_a_chunk_is_no_longer_full() -> None:
    async def check() -> None:
        chunk = _filled(1030, 10, 5000)
        reading = asyncio.create_task(chunk.freed(60))
        await _take(chunk, 5)
        await asyncio.sleep(0)
        assert not reading.done()
        await _take(chunk, 1)
        await asyncio.wait_for(reading, 10)
        assert not chunk.is_full()

    asyncio.run(check())

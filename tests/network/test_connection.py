"""One connection, in states that a server chooses: nothing is leaked, kept or waited for that should not be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asking import HANG_S
from clickhouse_rerank.network.connection import Connection
from clickhouse_rerank.network.held_bytes import HeldBytes
from clickhouse_rerank.network.response_reader import CompressedError, ResponseReader, TooLargeError

OK = b"HTTP/1.1 200 OK\r\n"
CAP = 200_000


class Socket(asyncio.Transport):
    """A transport that notes what is done to it."""

    def __init__(self, unsent: int = 0) -> None:
        super().__init__()
        self.aborted = False
        self._unsent = unsent

    def write(self, data: Any) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


class Exchange:
    """An exchange that has begun: `connection` is fed by the test, `task` ends with the response."""

    def __init__(self, held: HeldBytes | None = None, unsent: int = 0) -> None:
        self.socket, self.connection = Socket(unsent), Connection()
        self.connection.connection_made(self.socket)
        self.reader = ResponseReader(CAP)
        exchange = self.connection.exchange([b"request"], self.reader, held or HeldBytes(CAP), "host")
        self.task = asyncio.create_task(exchange)

    async def begun(self) -> Exchange:
        await settled()
        return self

    async def end(self) -> None:
        async with asyncio.timeout(HANG_S):
            await self.task


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_row_that_gives_up_as_its_response_ends_leaves_no_connection() -> None:
    """The response is complete, but nobody takes the connection."""

    async def run() -> bool:
        one = await Exchange().begun()
        one.connection.data_received(OK + b"Content-Length: 5\r\n\r\nhello")
        one.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one.end()
        return one.socket.aborted

    assert asyncio.run(run())


REFUSED = {
    "compressed": (b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", CompressedError),
    "too large": (b"Transfer-Encoding: chunked\r\n\r\n30d41\r\n" + b"x" * 200_001 + b"\r\n0\r\n\r\n", TooLargeError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_complete_response_that_is_refused_leaves_no_connection(name: str) -> None:
    """The parser would keep it, and nobody has it."""
    data, error = REFUSED[name]

    async def run() -> bool:
        one = await Exchange().begun()
        one.connection.data_received(OK + data)
        with pytest.raises(error):
            await one.end()
        return one.socket.aborted

    assert asyncio.run(run())


@pytest.mark.parametrize("unsent", [0, 1])
def test_a_request_that_is_not_sent_whole_does_not_go_before_another(unsent: int) -> None:
    """A server may answer early and read on, or not."""

    async def run() -> bool:
        one = await Exchange(unsent=unsent).begun()
        one.connection.data_received(OK + b"Content-Length: 5\r\n\r\nhello")
        await one.end()
        return one.socket.aborted

    assert asyncio.run(run()) == bool(unsent)


def test_a_connection_that_ends_while_its_row_waits_for_memory_fails_the_row() -> None:
    """Not at the row's deadline."""

    async def run() -> None:
        held = HeldBytes(100)
        reserved = await held.reserve(100, "other")
        one = await Exchange(held).begun()
        one.connection.data_received(OK + b"Content-Length: 100000\r\n\r\n" + b"x" * 90_000)
        await settled()
        one.connection.connection_lost(ConnectionResetError())
        held.release(reserved, "other")
        with pytest.raises(ConnectionResetError):
            await one.end()
        assert await asyncio.wait_for(held.reserve(100, "other"), HANG_S) == 100

    asyncio.run(run())


def test_the_end_of_the_servers_side_is_the_end() -> None:
    """asyncio reports a lost connection only when all is sent, which a server that does not read prevents."""

    async def run() -> None:
        one = await Exchange(unsent=1).begun()
        one.connection.eof_received()
        with pytest.raises(ConnectionResetError):
            await one.end()
        assert one.socket.aborted

    asyncio.run(run())


def test_a_reset_ends_no_body() -> None:
    """A body without a length ends when the connection is closed in good order, and only then."""

    async def run(error: OSError | None) -> Exchange:
        one = await Exchange().begun()
        one.connection.data_received(OK + b"\r\nhel")
        one.connection.connection_lost(error)
        await one.end()
        return one

    assert asyncio.run(run(None)).reader.body == b"hel"
    with pytest.raises(ConnectionResetError):
        asyncio.run(run(ConnectionResetError()))

"""One connection to a provider: a request goes out, its response comes in, and then the next one may.

| state | event | next state |
|---|---|---|
| idle | `exchange` | asking |
| idle | bytes that nobody asked for | closed |
| asking | the response is complete, and the connection can be kept | idle |
| asking | the response is complete otherwise, wrong or too large, or the task is cancelled | closed |
| asking | the body is large | paused, until memory is reserved for it; then asking |
| any | the server ends its side of the connection, or all of it | closed |
"""

import asyncio
from collections.abc import Iterable
from typing import cast

from .held_bytes import HeldBytes
from .response_reader import CompressedError, MalformedError, ResponseReader, TooLargeError


class Connection(asyncio.Protocol):
    """An HTTP/1.1 connection that carries one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reader: ResponseReader | None = None
        self._turn: asyncio.Future[None] | None = None
        self._is_reserved = False
        self._lost: Exception | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """The socket, or TLS over it."""
        assert self._transport is not None
        return self._transport

    def is_open(self) -> bool:
        """Whether another request may go out."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Close the connection at once; what is not sent yet is not sent."""
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, request: Iterable[bytes], reader: ResponseReader, held: HeldBytes, host: str) -> None:
        """Send a request to a host, and feed `reader` until the response is complete.

        Errors: those of `ResponseReader.feed`; an OSError, of TLS too, when the connection ends before. After an error,
        when the task is cancelled, and after a response that does not let it be kept, the connection is closed.
        """
        reserved = 0
        self._reader, self._is_reserved = reader, False
        self._turn = asyncio.get_running_loop().create_future()
        try:
            for piece in request:
                self.transport.write(piece)
            await self._turn
            if not reader.is_complete:
                # Only a large body wakes this task early. The server is held back until there is memory for the body.
                reserved = await held.reserve(reader.reservation, host)
                if self._lost is not None:
                    raise self._lost  # while this task waited for memory: nothing would wake it any more
                if not reader.is_complete:
                    reader.make_room()
                    self._is_reserved = True
                    self._turn = asyncio.get_running_loop().create_future()
                    self.transport.resume_reading()
                    await self._turn
            # A server may answer before it has read the request. What is still to be sent would go before the next one.
            if not reader.is_reusable or self.transport.get_write_buffer_size():
                self.close()
        except BaseException:
            # Whatever the reader says: a response can be complete and refused, or complete while the task is cancelled.
            self.close()
            raise
        finally:
            self._reader = self._turn = None
            reader.close()
            if reserved:
                held.release(reserved, host)

    # --- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open; with TLS behind a proxy, once more for TLS."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        reader = self._reader
        if reader is None:
            self.close()
            return
        try:
            reader.feed(data)
        except (MalformedError, TooLargeError, CompressedError) as error:
            self._wake(error)
            return
        if reader.is_complete:
            self._wake(None)
        elif not self._is_reserved and reader.reservation:
            self.transport.pause_reading()
            self._wake(None)

    def eof_received(self) -> None:
        """The server sends no more. The transport closes, but only when all is sent, which may never be."""
        self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended, by the server or by `close`."""
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        reader = self._reader
        if reader is None:
            return
        # A reset ends no body: only a connection that ends in good order does.
        if not (reader.is_complete or (error is None and reader.feed_eof())):
            self._lost = error or ConnectionResetError()
        self._wake(self._lost)

    def _wake(self, error: Exception | None) -> None:
        if self._turn is None or self._turn.done():
            return
        if error is None:
            self._turn.set_result(None)
        else:
            self._turn.set_exception(error)

"""A rerank provider on loopback that does what a test tells it to, right or wrong, and counts what it is asked.

It speaks raw sockets, not an HTTP library, so that it can also break off, stall, lie about lengths and drip bytes.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request as it arrived; `number` counts from 1 since the provider was reset, as `connection` does."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int = 0
    """The number of the connection that it came on."""
    turn: int = 0
    """Which request of its connection it is; 1 is the first."""
    at_s: float = 0.0
    """When its last byte had come, on the monotonic clock."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What to answer, and how badly."""

    status: int = 200
    json: Any = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Wait before the first byte."""
    byte_delay_s: float = 0.0
    """Wait after each byte of the body."""
    raw: bytes | None = None
    """Sent instead of status line, headers and body."""
    reset_after: int | None = None
    """Bytes of the whole reply after which the connection is reset."""
    close_after: int | None = None
    """Bytes of the whole reply after which the connection is closed in good order."""
    close: bool = False
    """Close the connection behind a complete reply, without having said so."""
    afterwards: bytes = b""
    """Sent when the client has had time to read the whole reply."""
    repeat: int = 1
    """How often the body is sent; Content-Length, unless given, tells the truth about all of it."""
    never: bool = False
    """Answer nothing and keep the connection open."""

    def wire(self) -> tuple[bytes, bytes]:
        if self.raw is not None:
            return b"", self.raw
        body = self.body if self.body is not None else json.dumps(self.json).encode()
        length = str(len(body) * self.repeat)
        headers = {"Content-Type": "application/json", "Content-Length": length, **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
        return f"HTTP/1.1 {self.status} Reason\r\n{lines}\r\n".encode(), body


Script = Callable[[Request], Reply]


def overlap(query: str, document: str) -> float:
    """A score that a test can predict: the share of the query's words that the document has."""
    words = query.lower().split()
    return sum(word in document.lower().split() for word in words) / (len(words) or 1)


def cohere(request: Request) -> Reply:
    """A well-behaved answer in Cohere's shape, best first, cut to top_n."""
    asked = request.json
    results = [
        {"index": i, "relevance_score": overlap(asked["query"], document)}
        for i, document in enumerate(asked["documents"])
    ]
    results.sort(key=lambda item: -item["relevance_score"])
    return Reply(json={"id": "1", "results": results[: asked.get("top_n")], "meta": {}})


class Provider:
    """The server; `script` answers each request, `requests` keeps them."""

    def __init__(
        self,
        script: Script = cohere,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        listener: socket.socket | None = None,
    ) -> None:
        self.script = script
        self.drops: Callable[[int], bool] = lambda connection: False
        """Which connections, by number from 1, are reset as soon as they are accepted."""
        self.requests: list[Request] = []
        self.connections = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.gone = threading.Semaphore(0)
        """Released once for each connection that ended, from whichever side."""
        self.arrived = threading.Semaphore(0)
        """Released once for each request that arrived."""
        self._tls = tls
        self._listener = listener
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def reset(self, script: Script = cohere) -> None:
        """Forget what came, answer with `script` from now on."""
        self.script = script
        self.drops = lambda connection: False
        self.requests = []
        self.connections = self.most_in_flight = 0

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        where: dict[str, Any] = {"sock": self._listener}
        if self._listener is None:
            where = {"host": "127.0.0.1", "port": self.port}
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, backlog=4096, limit=1 << 26, ssl=self._tls, **where)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection, turn = self.connections, 1
        try:
            if self.drops(connection):
                _reset(writer)
                return
            while await self._client(reader, writer, connection, turn):
                turn += 1
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self.gone.release()

    async def _client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int, turn: int
    ) -> bool:
        """One request and its reply; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        number = len(self.requests) + 1
        request = Request(number, method, path, headers, body, connection, turn, time.monotonic())
        self.requests.append(request)
        self.arrived.release()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._send(self.script(request), reader, writer)
        finally:
            self.in_flight -= 1

    async def _send(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        if reply.never:
            await reader.read()
            return False
        head, body = reply.wire()
        cut = reply.reset_after if reply.reset_after is not None else reply.close_after
        if reply.byte_delay_s:
            writer.write(head)
            for at in range(len(body)):
                writer.write(body[at : at + 1])
                await writer.drain()
                await asyncio.sleep(reply.byte_delay_s)
        else:
            writer.write((head + body)[:cut])
            await writer.drain()
            for _ in range(reply.repeat - 1):
                writer.write(body)
                await writer.drain()
        if reply.afterwards:
            await asyncio.sleep(0.1)
            writer.write(reply.afterwards)
            await writer.drain()
        if reply.reset_after is not None:
            _reset(writer)
            return False
        return cut is None and not reply.close


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

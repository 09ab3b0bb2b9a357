"""Connections that are opened, kept and closed: none is lost sight of, whatever the server or proxy does."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from asking import HANG_S
from certificates import Certificates
from clickhouse_rerank.config.settings import Network
from clickhouse_rerank.network import connection_pool, name_lookup
from clickhouse_rerank.network.connection import Connection
from clickhouse_rerank.network.connection_pool import ConnectionPool, ProxyError, Route
from clickhouse_rerank.network.ssrf_guard import Scope
from provider import Provider

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    """The port of a server on loopback."""
    one = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield one.sockets[0].getsockname()[1]
    one.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


EARLY = {
    "a byte": b"HTTP/1.1 200 OK\r\n\r\nx",
    "a body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "nothing, and hangs up": b"HTTP/1.1 200 OK\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000,
}


@pytest.mark.fault("F30")
@pytest.mark.parametrize("name", EARLY)
def test_a_proxy_that_says_more_than_its_head_is_an_error(name: str) -> None:
    """It is not TLS of the host, and it is not passed over."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EARLY[name])
        if name.startswith("nothing"):
            writer.close()
        else:
            await reader.read()
            writer.close()

    async def run() -> None:
        async with server(serve) as port:
            pool = ConnectionPool(Network(proxy=f"http://127.0.0.1:{port}"), HANG_S)
            with pytest.raises(ConnectionResetError if name.startswith("nothing") else ProxyError):
                await pool.open(Route("https", "provider.test", 443, Scope.PUBLIC, is_proxied=True))

    asyncio.run(run())


STAGES = ["TLS", "TLS behind a proxy", "a proxy's answer"]


@pytest.mark.fault("F18")
@pytest.mark.parametrize("stage", STAGES)
def test_a_row_that_gives_up_while_a_connection_is_opened_closes_it(stage: str) -> None:
    """At once, in whichever stage: the server sees the end of the connection."""

    async def run() -> None:
        here, left = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if stage == "TLS behind a proxy":
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await reader.read(1)
            here.set()
            await reader.read()
            left.set()
            writer.close()

        async with server(serve) as port:
            proxied = stage != "TLS"
            network = Network(proxy=f"http://127.0.0.1:{port}" if proxied else "")
            pool = ConnectionPool(network, 60.0)
            route = Route("https", "127.0.0.1", port, Scope.LOOPBACK, is_proxied=proxied)
            task = asyncio.create_task(pool.open(route))
            async with asyncio.timeout(HANG_S):
                await here.wait()
                task.cancel()
                await left.wait()

    asyncio.run(run())


@pytest.mark.fault("F18")
def test_a_row_that_gives_up_as_tls_stands_closes_it(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the moment in which the handshake ends. asyncio would then wait for the server to close it as well.

    The number of the socket stays asyncio's until it has let go of it: another connection may be given it at once.
    """
    provider = Provider(tls=certificates.server("as-tls-stands"))
    made = Connection.connection_made

    async def run() -> None:
        task: asyncio.Task[Connection]

        def made_and_cancelled(self: Connection, transport: asyncio.BaseTransport) -> None:
            made(self, transport)
            task.cancel()

        monkeypatch.setattr(Connection, "connection_made", made_and_cancelled)
        pool = ConnectionPool(Network(ca_file=str(certificates.authority)), HANG_S)
        route = Route("https", "127.0.0.1", provider.port, Scope.LOOPBACK, is_proxied=False)
        task = asyncio.create_task(pool.open(route))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(provider.gone.acquire, timeout=HANG_S)

    asyncio.run(run())
    provider.close()


def test_the_connections_kept_are_few_and_those_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all routes; the one that was not used for longest goes."""
    monkeypatch.setattr(connection_pool, "_MAX_IDLE", 3)

    async def run() -> None:
        async with server(silent) as port:
            pool = ConnectionPool(Network(), HANG_S)
            routes = [Route("http", f"127.0.0.{i}", port, Scope.LOOPBACK, is_proxied=False) for i in range(1, 5)]
            opened = [await pool.open(routes[0]._replace(host="127.0.0.1")) for _ in range(5)]
            for route, connection in zip(routes, opened, strict=False):
                pool.keep(route, connection)
            assert [one.is_open() for one in opened] == [False, True, True, True, True]
            pool.keep(routes[1], opened[4])
            assert [one.is_open() for one in opened] == [False, False, True, True, True]
            assert [pool.kept(route) for route in routes] == [None, opened[4], opened[2], opened[3]]
            for one in opened:
                one.close()

    asyncio.run(run())


@pytest.mark.fault("F29")
def test_names_that_hang_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up that is not answered blocks a thread, and there are more of these than a query has silent names."""
    release = threading.Event()

    def look_up(host: str, *_: object, **__: object) -> list[tuple]:
        if host != "good.test":
            release.wait(HANG_S)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def run() -> None:
        names = name_lookup.NameLookup()
        hanging = [asyncio.create_task(names.addresses(f"silent-{i}.test")) for i in range(40)]
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(HANG_S / 2):
                assert await names.addresses("good.test") == ["127.0.0.1"]
        finally:
            release.set()
            await asyncio.gather(*hanging)

    asyncio.run(run())

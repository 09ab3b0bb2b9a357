"""How connections to providers are opened and kept: name look-up, the check of each address, TLS, a proxy, reuse.

Every address, whether written in the URL, just looked up or remembered, is checked here in the moment when a connection
to it is opened, and the address that was checked is the address that is connected to.
"""

import asyncio
import socket
import ssl
from collections import deque
from typing import Any, NamedTuple

from aiohappyeyeballs import start_connection

from ..config.settings import Network
from ..errors import CallerError
from ..providers.base_url import Url, parse_url
from . import ssrf_guard
from .connection import Connection
from .held_bytes import HeldBytes
from .name_lookup import NameLookup
from .response_reader import MalformedError, ResponseReader
from .ssrf_guard import Scope

_IDLE_S = 4.0  # below the 5 s after which many servers close an idle connection
_MAX_IDLE = 512
_NEXT_ADDRESS_AFTER_S = 0.25


class BlockedError(OSError):
    """An address outside the scope of the host it belongs to."""


class ProxyError(OSError):
    """The proxy gave no connection to the host."""


class Route(NamedTuple):
    """What tells connections apart: requests share those of one route."""

    scheme: str
    host: str
    port: int
    scope: Scope
    is_proxied: bool


class ConnectionPool:
    """Opens connections, and keeps those that can carry another request."""

    def __init__(self, network: Network, connect_s: float) -> None:
        self._network = network
        self._connect_s = connect_s
        self._names = NameLookup()
        self._proxy = parse_url(network.proxy) if network.proxy else None
        self._tls: ssl.SSLContext | None = None
        self._idle: dict[Route, deque[tuple[float, Connection]]] = {}
        self._count = 0
        self._sweep: asyncio.TimerHandle | None = None

    def kept(self, route: Route) -> Connection | None:
        """The kept connection of a route that was used last; None for none."""
        idle = self._idle.get(route)
        since = asyncio.get_running_loop().time() - _IDLE_S
        while idle:
            kept_at, connection = idle.pop()
            self._count -= 1
            if kept_at > since and connection.is_open():
                return connection
            connection.close()
        return None

    def keep(self, route: Route, connection: Connection) -> None:
        """Keep a connection for the next request of its route."""
        if not connection.is_open():
            return
        while self._count >= _MAX_IDLE:
            self._close_one()
        loop = asyncio.get_running_loop()
        # The routes stand in the order of their last use.
        idle = self._idle[route] = self._idle.pop(route, deque())
        idle.append((loop.time(), connection))
        self._count += 1
        if self._sweep is None:
            self._sweep = loop.call_later(_IDLE_S, self._close_idle)

    async def open(self, route: Route) -> Connection:
        """A new connection, TLS included.

        Errors: BlockedError, ProxyError, socket.gaierror, UnicodeError, TimeoutError, other OSError, CONFIG.
        """
        if self._network.ca_file:
            self._tls_context()  # a mistake in the file is an error at once, also where no request needs it
        async with asyncio.timeout(self._connect_s):
            if route.is_proxied:
                return await self._open_through_proxy(route)
            opened = await self._connected(route.host, route.port, route.scope)
            return await self._secured(opened, route)

    def close(self) -> None:
        """Close all kept connections."""
        for idle in self._idle.values():
            for _, connection in idle:
                connection.close()
        self._idle.clear()
        self._count = 0
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _close_one(self) -> None:
        """Close a connection of the route that was not used for longest."""
        route, idle = next(iter(self._idle.items()))
        if idle:
            idle.popleft()[1].close()
            self._count -= 1
        if not idle:
            del self._idle[route]

    def _close_idle(self) -> None:
        """Close what was not used for long, and look again as long as anything is kept."""
        loop = asyncio.get_running_loop()
        since = loop.time() - _IDLE_S
        for route, idle in list(self._idle.items()):
            while idle and (idle[0][0] <= since or not idle[0][1].is_open()):
                idle.popleft()[1].close()
                self._count -= 1
            if not idle:
                del self._idle[route]
        self._sweep = loop.call_later(_IDLE_S, self._close_idle) if self._idle else None

    async def _connected(self, host: str, port: int, scope: Scope) -> socket.socket:
        """A socket that is connected to one of the host's addresses, each of which was checked."""
        literal = ssrf_guard.parse_address(host.strip("[]"))
        addresses = [str(literal)] if literal else await self._names.addresses(host)
        # One forbidden address among the answers refuses the name.
        if not all(ssrf_guard.is_allowed(address, scope) for address in addresses):
            raise BlockedError
        return await start_connection(
            [_address_info(address, port) for address in addresses], happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S
        )

    async def _secured(self, opened: socket.socket, route: Route) -> Connection:
        if route.scheme != "https":
            return await _adopted(opened)
        try:
            context = self._tls_context()
        except BaseException:
            opened.close()
            raise
        return await _adopted(opened, ssl=context, server_hostname=route.host.strip("[]"))

    async def _open_through_proxy(self, route: Route) -> Connection:
        """A connection to the proxy, which then leads to the host: only the proxy looks the host up."""
        assert self._proxy is not None
        try:
            opened = await self._connected(self._proxy.host, self._proxy.port, Scope.ANY)
            connection = await _adopted(opened)
        except OSError:
            raise ProxyError from None
        target = f"{route.host}:{route.port}"
        try:
            await _connect(connection, target)
            secured = await asyncio.get_running_loop().start_tls(
                connection.transport, connection, self._tls_context(), server_hostname=route.host.strip("[]")
            )
            if secured is None:
                raise ProxyError  # asyncio's answer when the connection was closed as the handshake began
            connection.connection_made(secured)
        except BaseException:
            connection.close()
            raise
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context(self._network)
        return self._tls


async def _adopted(opened: socket.socket, **tls: Any) -> Connection:
    """A connection over a socket, which is asyncio's from now on.

    Closing the socket here, too, would be wrong: its number may be another connection's when asyncio lets go of it.
    """
    connection = Connection()
    try:
        await asyncio.get_running_loop().create_connection(lambda: connection, sock=opened, **tls)
    except BaseException:
        # asyncio closes it, but where TLS stands it would wait for the server to close it as well.
        connection.close()
        raise
    return connection


async def _connect(connection: Connection, target: str) -> None:
    """Ask a proxy to lead to host:port. Errors: ProxyError."""
    reader = ResponseReader(0, ends_with_head=True)
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()
    try:
        await connection.exchange([request], reader, HeldBytes(1), target)
    except (OSError, MalformedError):
        raise ProxyError from None
    # A proxy that says more than its head, or hangs up behind it, leads nowhere: the host does not speak first.
    if not 200 <= reader.status < 300 or not connection.is_open():
        raise ProxyError


def tls_context(network: Network) -> ssl.SSLContext:
    """TLS 1.2 or newer that trusts the public authorities and those of the configuration; errors: CONFIG."""
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if network.ca_file:
        try:
            context.load_verify_locations(network.ca_file)
        except OSError:
            raise CallerError(
                "CONFIG", f"[network] ca_file {network.ca_file} holds no certificates. Write them as PEM."
            ) from None
    return context


def route_of(url: Url, scope: Scope, *, is_proxied: bool) -> Route:
    """The route of a URL's requests."""
    return Route(url.scheme, url.host, url.port, scope, is_proxied)


def _address_info(address: str, port: int) -> tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)

"""How connections to providers are opened: name look-up, the check of each address, trusted certificates, keep-alive.

Names are looked up by `_CheckedResolver` and nowhere else, and what it allowed is kept for a few seconds. Every
address, whether kept, written in the URL or just looked up, passes `_checked_socket` in the moment when a connection to
it is opened.
"""

import socket
import ssl
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult

from ..config.settings import Network
from ..errors import CallerError
from . import ssrf_guard
from .ssrf_guard import Scope

_NAMES_KEPT_S = 10
_IDLE_S = 4.0  # below the 5 s after which many servers close an idle connection


@dataclass(slots=True)
class RequestContext:
    """What opening a connection must know of the request under way, and what the request must know of it."""

    scope: Scope
    """Addresses that the host, or the proxy, may have."""
    is_kept_connection: bool = False
    """Whether the request goes out on a connection that served another one before."""


request_context: ContextVar[RequestContext] = ContextVar("request_context")
"""Of the task that sends a request: the HTTP library hands no such argument to resolver, socket factory and pool."""


class BlockedError(OSError):
    """An address outside the scope of the host it belongs to."""


class _CheckedResolver(AbstractResolver):
    """The system's resolver; one forbidden address among the answers refuses the name."""

    def __init__(self) -> None:
        self._system = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        results = await self._system.resolve(host, port, family)
        if not results:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        scope = request_context.get().scope
        if not all(ssrf_guard.is_allowed(result["host"], scope) for result in results):
            raise BlockedError
        return results

    async def close(self) -> None:
        await self._system.close()


def _checked_socket(address: Any) -> socket.socket:
    """A socket for an address that a connection is about to be opened to. Addresses written in a URL come here too."""
    family, kind, protocol, _, destination = address
    if not ssrf_guard.is_allowed(str(destination[0]), request_context.get().scope):
        raise BlockedError
    return socket.socket(family, kind, protocol)


class _Connector(aiohttp.TCPConnector):
    """Does not reuse a connection on which unrequested bytes came: they would pass for the next request's response."""

    async def _get(self, key: Any, traces: Any) -> Any:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                request_context.get().is_kept_connection = True
                return connection
            connection.close()
        return None


def tls_context(network: Network) -> ssl.SSLContext:
    """TLS 1.2 or newer that trusts the public authorities and those of the configuration; errors: CONFIG."""
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


def connector() -> aiohttp.TCPConnector:
    """Opens and keeps the connections of one session. Each https request passes the `tls_context` itself."""
    return _Connector(
        limit=0,
        resolver=_CheckedResolver(),
        ttl_dns_cache=_NAMES_KEPT_S,
        socket_factory=_checked_socket,
        keepalive_timeout=_IDLE_S,
    )

"""How connections to providers are made: who looks names up, which addresses are dialled, whose certificates count.

Names are looked up by `_Resolver` and nowhere else, and what it allowed is kept for a few seconds; every address, kept
or not, written or looked up, passes `_socket` in the moment it is dialled.
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
from .ssrf_guard import Permission

_NAMES_HOLD_S = 10
_IDLE_S = 4.0  # below the 5 s after which many servers close an idle connection


@dataclass(slots=True)
class Dialled:
    """The connection of the request under way: what addresses its host may have, and whether it is a kept one."""

    permission: Permission
    is_reused: bool = False


current: ContextVar[Dialled] = ContextVar("current")


class BlockedError(OSError):
    """An address outside the permission of the host it belongs to."""


class _Resolver(AbstractResolver):
    """The system's resolver; one forbidden address among the answers refuses the name."""

    def __init__(self) -> None:
        self._system = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        results = await self._system.resolve(host, port, family)
        if not results:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        if not all(ssrf_guard.permits(result["host"], current.get().permission) for result in results):
            raise BlockedError
        return results

    async def close(self) -> None:
        await self._system.close()


def _socket(address: Any) -> socket.socket:
    """A socket for an address about to be dialled: the last gate, which literal addresses pass through too."""
    family, kind, protocol, _, destination = address
    if not ssrf_guard.permits(str(destination[0]), current.get().permission):
        raise BlockedError
    return socket.socket(family, kind, protocol)


class _Connector(aiohttp.TCPConnector):
    """Does not reuse a connection on which something came unasked: that would pass for the next request's answer."""

    async def _get(self, key: Any, traces: Any) -> Any:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                current.get().is_reused = True
                return connection
            connection.close()
        return None


def trusted(network: Network) -> ssl.SSLContext:
    """TLS with the public authorities, and those of the configuration."""
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
    """Makes and keeps the connections of a session; each https request names the `trusted` context."""
    return _Connector(
        limit=0,
        resolver=_Resolver(),
        ttl_dns_cache=_NAMES_HOLD_S,
        socket_factory=_socket,
        keepalive_timeout=_IDLE_S,
    )

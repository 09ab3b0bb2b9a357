"""The one place where bytes leave for a provider: POST a body, get a bounded reply.

httpx's transport interface over aiohttp: called without httpx's client, so that redirects, proxies, cookies, netrc and
decompression do not exist here. Whatever a library raises becomes one of our errors at this boundary, without its text.
"""

import errno
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp
import certifi
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from . import guard
from .endpoints import Url, parse_url
from .errors import ProviderFailedError, RerankError
from .guard import Permission
from .settings import Limits, Network

_MAX_ERROR_BYTES = 64 << 10
_IDLE_S = 4.0  # below the 5 s after which many servers close an idle connection

_BEFORE_ANY_ANSWER = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL))

_permission: ContextVar[Permission] = ContextVar("permission")
_reused: ContextVar[list[bool]] = ContextVar("reused")
"""Non-empty when the request under way went out on a connection kept from an earlier one."""


class _BlockedError(OSError):
    """An address outside the permission of the host it belongs to."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider answered. `body` is complete, or for a status of 300 and above its first 64 KiB, if plain."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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
        if not all(guard.permits(result["host"], _permission.get()) for result in results):
            raise _BlockedError
        return results

    async def close(self) -> None:
        await self._system.close()


def _socket(address: Any) -> socket.socket:
    """A socket for an address about to be dialled: the last gate, which literal addresses pass through too."""
    family, kind, protocol, _, destination = address
    if not guard.permits(str(destination[0]), _permission.get()):
        raise _BlockedError
    return socket.socket(family, kind, protocol)


class _Connector(aiohttp.TCPConnector):
    """Does not reuse a connection on which something came unasked: that would pass for the next request's answer."""

    async def _get(self, key: Any, traces: Any) -> Any:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        return None


async def _note_reuse(*_: object) -> None:
    _reused.get().append(True)


class Transport:
    """Connections to providers, kept alive and shared by all calls of one worker."""

    def __init__(self, network: Network, limits: Limits) -> None:
        self._network = network
        self._limits = limits
        self._http: AiohttpTransport | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request. Errors: BLOCKED, DNS, CONNECT, TLS, PROTOCOL; the caller holds the deadline."""
        target = parse_url(url)
        _permission.set(guard.permission(target, self._network))
        _reused.set([])
        connect_s = self._limits.connect_s
        request = httpx.Request(
            "POST",
            url,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
            content=body,
            extensions={"timeout": {"connect": connect_s, "pool": connect_s}},
        )
        try:
            try:
                response = await self._transport().handle_async_request(request)
            except httpx.HTTPError as error:
                # Between two requests the server may close a kept connection just as this one leaves on it.
                if not (_reused.get() and _caused_by(error, _BEFORE_ANY_ANSWER)):
                    raise
                response = await self._transport().handle_async_request(request)
            try:
                return await self._read(response, target)
            finally:
                await response.aclose()
        except (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError) as error:
            raise _translated(error, target) from None

    async def _read(self, response: httpx.Response, url: Url) -> Reply:
        headers = {name.lower(): value for name, value in response.headers.items()}
        refused = response.status_code >= 300
        if headers.get("content-encoding", "identity").lower() != "identity":
            if refused:
                return Reply(response.status_code, headers, b"")
            raise ProviderFailedError("PROTOCOL", f"{url.host} compressed its answer although it was asked not to.")
        cap = _MAX_ERROR_BYTES if refused else self._limits.max_response_bytes
        body = bytearray()
        assert isinstance(response.stream, httpx.AsyncByteStream)
        async for piece in response.stream:
            body += piece
            if len(body) > cap:
                if refused:
                    break
                raise ProviderFailedError(
                    "PROTOCOL", f"The answer of {url.host} exceeds {cap} bytes. Send fewer documents."
                )
        del body[cap:]
        return Reply(response.status_code, headers, bytes(body))

    def _transport(self) -> AiohttpTransport:
        if self._http is None:
            context = ssl.create_default_context(cafile=certifi.where())
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            connector = _Connector(
                limit=0,
                ssl=context,
                resolver=_Resolver(),
                socket_factory=_socket,
                keepalive_timeout=_IDLE_S,
            )
            trace = aiohttp.TraceConfig()
            trace.on_connection_reuseconn.append(_note_reuse)
            session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                trace_configs=[trace],
            )
            self._http = AiohttpTransport(verify=context, trust_env=False, client=session)
        return self._http

    async def aclose(self) -> None:
        """Close all connections."""
        if self._http is not None:
            await self._http.aclose()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        # "More bytes, please" is how OpenSSL waits; what happens meanwhile has it as its context.
        if not isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            yield error
        error = error.__cause__ or error.__context__


def _caused_by(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    return any(isinstance(link, kinds) for link in _chain(error))


class _Cause(NamedTuple):
    """What an exception of a library means. Texts take {host} and {port}; nothing of the exception's own text."""

    kinds: tuple[type[BaseException], ...]
    code: str
    text: str
    retryable: bool = False


_CAUSES = (
    _Cause((socket.gaierror,), "DNS", "The host {host} has no address. Check base_url.", retryable=True),
    _Cause(
        (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError),
        "CONNECT",
        "{host}:{port} closed the connection within TLS.",
        retryable=True,
    ),
    _Cause((ssl.SSLError,), "TLS", "No trusted TLS connection to {host}. Check base_url and the certificate."),
    _Cause(
        (aiohttp.ConnectionTimeoutError,),
        "CONNECT",
        "{host}:{port} does not answer. Check base_url and the network.",
        retryable=True,
    ),
    _Cause(
        (aiohttp.ClientConnectorError,),
        "CONNECT",
        "{host}:{port} refuses connections. Check base_url and the server.",
        retryable=True,
    ),
    _Cause(
        (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError),
        "CONNECT",
        "{host}:{port} closed the connection before its answer was complete.",
        retryable=True,
    ),
    _Cause(
        (aiohttp.ClientResponseError, aiohttp.http_exceptions.HttpProcessingError, ValueError),
        "PROTOCOL",
        "{host}:{port} does not speak HTTP as it should. Check base_url.",
    ),
)
"""First match along the chain of causes wins."""


def _translated(error: Exception, url: Url) -> RerankError:
    """A library's exception -> ours; its text stays behind, for it may hold the whole header."""
    if _caused_by(error, (_BlockedError,)):
        return guard.blocked(url.host)
    if any(isinstance(link, OSError) and link.errno in _EXHAUSTED for link in _chain(error)):
        return ProviderFailedError("RESOURCE", "The worker has no free socket, descriptor or memory.", retryable=True)
    for cause in _CAUSES:
        if _caused_by(error, cause.kinds):
            text = cause.text.format(host=url.host, port=url.port)
            return ProviderFailedError(cause.code, text, retryable=cause.retryable)
    return ProviderFailedError("CONNECT", f"The connection to {url.host}:{url.port} broke.", retryable=True)

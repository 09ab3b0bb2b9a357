"""The one place where bytes leave for a provider: POST a body, get a bounded reply.

httpx's transport interface over aiohttp: called without httpx's client, so that redirects, cookies, netrc,
decompression and proxies of the environment do not exist here. Whatever a library raises becomes one of our errors at
this boundary, without its text. Where the configuration names a proxy, that is who looks up and dials public hosts; the
host as written is checked here all the same.
"""

import errno
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from . import dialling, guard
from .endpoints import Url, parse_url
from .errors import CallerError, ProviderFailedError, RerankError
from .guard import Permission
from .settings import Limits, Network

_MAX_ERROR_BYTES = 64 << 10

_BEFORE_ANY_ANSWER = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL))

_reused: ContextVar[list[bool]] = ContextVar("reused")
"""Non-empty when the request under way went out on a connection kept from an earlier one."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider answered. `body` is complete, or for a status of 300 and above its first 64 KiB, if plain."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def _note_reuse(*_: object) -> None:
    _reused.get().append(True)


class Transport:
    """Connections to providers, kept alive and shared by all calls of one worker."""

    def __init__(self, network: Network, limits: Limits) -> None:
        self._network = network
        self._limits = limits
        self._http: AiohttpTransport | None = None
        self._proxied: AiohttpTransport | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request. Errors: BLOCKED, DNS, CONNECT, TLS, PROTOCOL; the caller holds the deadline."""
        target = parse_url(url)
        permission = guard.permission(target, self._network)
        proxied = bool(self._network.proxy) and permission is Permission.PUBLIC
        dialling.permitted.set(Permission.ANY if proxied else permission)  # behind a proxy only the proxy is dialled
        _reused.set([])
        try:
            return await self._sent(target, headers, body, proxied)
        except (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError) as error:
            failure = _translated(error, target)
        # Raised out here, so that no exception of a library hangs on to it: those hold the request, key included.
        raise failure

    async def _sent(self, target: Url, headers: Mapping[str, str], body: bytes, proxied: bool) -> Reply:
        connect_s = self._limits.connect_s
        request = httpx.Request(
            "POST",
            str(target),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
            content=body,
            extensions={"timeout": {"connect": connect_s, "pool": connect_s}},
        )
        try:
            response = await self._transport(proxied).handle_async_request(request)
        except httpx.HTTPError as error:
            # Between two requests the server may close a kept connection just as this one leaves on it.
            if not (_reused.get() and _caused_by(error, _BEFORE_ANY_ANSWER)):
                raise
            response = await self._transport(proxied).handle_async_request(request)
        try:
            return await self._read(response, target)
        finally:
            await response.aclose()

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

    def _transport(self, proxied: bool) -> AiohttpTransport:
        if self._http is None:
            context = dialling.trusted(self._network)
            trace = aiohttp.TraceConfig()
            trace.on_connection_reuseconn.append(_note_reuse)
            session = aiohttp.ClientSession(
                connector=dialling.connector(context),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                trace_configs=[trace],
            )
            self._http = AiohttpTransport(verify=context, trust_env=False, client=session)
            if self._network.proxy:
                proxy = httpx.Proxy(self._network.proxy)
                self._proxied = AiohttpTransport(verify=context, trust_env=False, client=session, proxy=proxy)
        return self._proxied if proxied and self._proxied is not None else self._http

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
        (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError),
        "CONNECT",
        "The proxy in the server's network.proxy does not lead to {host}.",
        retryable=True,
    ),
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
    if _caused_by(error, (dialling.BlockedError,)):
        return guard.blocked(url.host)
    if _caused_by(error, (UnicodeError,)):
        return CallerError("BAD_URL", "base_url has a host that begins with xn-- and is no name. Correct it.")
    if any(isinstance(link, OSError) and link.errno in _EXHAUSTED for link in _chain(error)):
        return ProviderFailedError("RESOURCE", "The worker has no free socket, descriptor or memory.", retryable=True)
    for cause in _CAUSES:
        if _caused_by(error, cause.kinds):
            text = cause.text.format(host=url.host, port=url.port)
            return ProviderFailedError(cause.code, text, retryable=cause.retryable)
    return ProviderFailedError("CONNECT", f"The connection to {url.host}:{url.port} broke.", retryable=True)

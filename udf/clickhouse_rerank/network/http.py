"""The one place where bytes leave for a provider: POST a body, get a bounded reply.

aiohttp with everything off that would act on its own: no redirects, cookies, netrc, decompression or proxies of the
environment. Whatever it raises becomes one of our errors at this boundary, without its text. Where the configuration
names a proxy, that is who looks up and dials public hosts; the host as written is checked here all the same.
"""

import errno
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import aiohttp
from yarl import URL

from ..config.settings import Limits, Network
from ..errors import CallerError, ProviderFailedError, RerankError
from ..providers.base_url import Url, parse_url
from . import connections, ssrf_guard
from .ssrf_guard import Permission

_MAX_ERROR_BYTES = 64 << 10
_MAX_TARGETS = 256

_BEFORE_ANY_ANSWER = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL))


@dataclass(frozen=True, slots=True)
class Response:
    """What a provider answered. `body` is complete, or for a status of 300 and above its first 64 KiB, if plain."""

    status: int
    headers: Mapping[str, str]
    """By name; lower case finds any."""
    body: bytes
    sent: int = 1
    """How many times the request went out: twice where a kept connection was closed before any byte of an answer."""


class _Target(NamedTuple):
    """A URL as it is judged, as it is asked, and what its host may have for addresses."""

    parts: Url
    url: URL
    permission: Permission


class Transport:
    """Connections to providers, kept alive and shared by all calls of one worker."""

    def __init__(self, network: Network, limits: Limits) -> None:
        self._network = network
        self._limits = limits
        self._timeout = aiohttp.ClientTimeout(total=None, connect=limits.connect_s)
        self._target = lru_cache(maxsize=_MAX_TARGETS)(self._target_anew)
        self._session: aiohttp.ClientSession | None = None
        self._context: ssl.SSLContext | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send one request. Errors: BLOCKED, DNS, CONNECT, TLS, PROTOCOL; the caller holds the deadline."""
        target = self._target(url)
        try:
            return await self._sent(target, headers, body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _translated(error, target.parts)
        # Raised out here, so that no exception of a library hangs on to it: those hold the request, key included.
        raise failure

    def _target_anew(self, url: str) -> _Target:
        parts = parse_url(url)
        return _Target(parts, URL(str(parts), encoded=True), ssrf_guard.permission(parts, self._network))

    async def _sent(self, target: _Target, headers: Mapping[str, str], body: bytes) -> Response:
        proxied = bool(self._network.proxy) and target.permission is Permission.PUBLIC
        # Behind a proxy only the proxy is dialled.
        dialled = connections.Dialled(Permission.ANY if proxied else target.permission)
        connections.current.set(dialled)
        try:
            return await self._answered(target, headers, body, proxied=proxied)
        except _BEFORE_ANY_ANSWER as error:
            # Between two requests the server may close a kept connection just as this one leaves on it.
            has_begun = not isinstance(getattr(error, "message", ""), str)  # to answer: it is the head then
            if has_begun or not dialled.is_reused:
                raise
        return await self._answered(target, headers, body, proxied=proxied)

    async def _answered(self, target: _Target, headers: Mapping[str, str], body: bytes, *, proxied: bool) -> Response:
        request = self._http().post(
            target.url,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
            data=body,
            allow_redirects=False,
            timeout=self._timeout,
            ssl=self._trusted() if target.parts.scheme == "https" else True,
            proxy=self._network.proxy if proxied else None,
        )
        async with request as response:
            return await self._read(response, target.parts)

    async def _read(self, response: aiohttp.ClientResponse, url: Url) -> Response:
        refused = response.status >= 300
        encodings = ",".join(response.headers.getall("content-encoding", ()))
        if {encoding.strip().lower() for encoding in encodings.split(",")} - {"", "identity"}:
            if refused:
                return Response(response.status, response.headers, b"")
            raise ProviderFailedError("PROTOCOL", f"{url.host} compressed its answer although it was asked not to.")
        cap = _MAX_ERROR_BYTES if refused else self._limits.max_response_bytes
        body = bytearray()
        while piece := await response.content.readany():
            body += piece
            if len(body) > cap:
                if refused:
                    break
                raise ProviderFailedError(
                    "PROTOCOL", f"The answer of {url.host} exceeds {cap} bytes. Send fewer documents."
                )
        del body[cap:]
        return Response(response.status, response.headers, bytes(body))

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            if self._network.ca_file:
                self._trusted()  # a mistake in it is seen at once, also where no request needs it
            self._session = aiohttp.ClientSession(
                connector=connections.connector(),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _trusted(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = connections.trusted(self._network)
        return self._context

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


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
    if _caused_by(error, (connections.BlockedError,)):
        return ssrf_guard.blocked(url.host)
    if _caused_by(error, (UnicodeError,)):
        return CallerError("BAD_URL", "base_url has a host that begins with xn-- and is no name. Correct it.")
    if any(isinstance(link, OSError) and link.errno in _EXHAUSTED for link in _chain(error)):
        return ProviderFailedError("RESOURCE", "The worker has no free socket, descriptor or memory.", retryable=True)
    for cause in _CAUSES:
        if _caused_by(error, cause.kinds):
            text = cause.text.format(host=url.host, port=url.port)
            return ProviderFailedError(cause.code, text, retryable=cause.retryable)
    return ProviderFailedError("CONNECT", f"The connection to {url.host}:{url.port} broke.", retryable=True)

"""The transport of a worker: POST a body, get a bounded response. The one place where bytes leave for a provider.

aiohttp with everything off that would act on its own: no redirects, cookies, netrc, decompression or proxies of the
environment. Whatever it raises becomes one of our errors at this boundary, without its text. Where the configuration
names a proxy, the proxy looks up public hosts and connects to them; the host as written is checked here all the same.
"""

import errno
import socket
import ssl
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import aiohttp
from yarl import URL

from ..config.settings import Limits, Network
from ..errors import CallerError, ProviderFailedError, RerankError
from ..providers.base_url import Url, parse_url
from . import connections, ssrf_guard
from .connections import RequestContext, request_context
from .ssrf_guard import Scope
from .transport import Response

_MAX_ERROR_BYTES = 64 << 10
_MAX_TARGETS = 256

_CLOSED_BEFORE_RESPONSE = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL))


class _Target(NamedTuple):
    """A URL in parts, as the SSRF guard reads it; as the HTTP library takes it; and which addresses it may have."""

    parts: Url
    url: URL
    scope: Scope


class HttpTransport:
    """The `Transport` over aiohttp. Connections open with the first request; each serves one request at a time."""

    def __init__(self, network: Network, limits: Limits) -> None:
        self._network = network
        self._limits = limits
        self._timeout = aiohttp.ClientTimeout(total=None, connect=limits.connect_s)
        self._target = lru_cache(maxsize=_MAX_TARGETS)(self._new_target)
        self._session: aiohttp.ClientSession | None = None
        self._tls_context: ssl.SSLContext | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send one request; see `Transport.post`."""
        target = self._target(url)
        is_proxied = bool(self._network.proxy) and target.scope is Scope.PUBLIC
        proxy = self._network.proxy if is_proxied else None
        # Behind a proxy, connections lead to the proxy alone, which may have any address.
        context = RequestContext(Scope.ANY if is_proxied else target.scope)
        request_context.set(context)
        sent = 1
        failure: RerankError
        try:
            try:
                return await self._request(target, headers, body, proxy, sent)
            except _CLOSED_BEFORE_RESPONSE as error:
                # The server may close a kept connection between two requests, just as this one goes out on it.
                has_begun = not isinstance(getattr(error, "message", ""), str)  # the head of a response is there then
                if has_begun or not context.is_kept_connection:
                    raise
            sent = 2
            return await self._request(target, headers, body, proxy, sent)
        except ProviderFailedError as error:
            error.sent = sent
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _translated(error, target.parts)
        # Outside of the handler, so that no exception of a library is its context: those hold the request and its key.
        if isinstance(failure, ProviderFailedError):
            failure.sent = sent
        raise failure

    def _new_target(self, url: str) -> _Target:
        parts = parse_url(url)
        return _Target(parts, URL(str(parts), encoded=True), ssrf_guard.check_host(parts, self._network))

    async def _request(
        self, target: _Target, headers: Mapping[str, str], body: bytes, proxy: str | None, sent: int
    ) -> Response:
        request = self._http().post(
            target.url,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
            data=body,
            allow_redirects=False,
            timeout=self._timeout,
            ssl=self._tls() if target.parts.scheme == "https" else True,
            proxy=proxy,
        )
        async with request as response:
            return await self._read(response, target.parts, sent)

    async def _read(self, response: aiohttp.ClientResponse, url: Url, sent: int) -> Response:
        is_error = response.status >= 300
        headers: dict[str, str] = {}
        for name, value in response.headers.items():
            headers.setdefault(name.lower(), value)
        encodings = ",".join(response.headers.getall("content-encoding", ()))
        if {encoding.strip().lower() for encoding in encodings.split(",")} - {"", "identity"}:
            if is_error:
                return Response(response.status, headers, b"", sent)
            raise ProviderFailedError(
                "PROTOCOL", f"{url.host} compressed its answer although asked not to. Turn its compression off."
            )
        cap = _MAX_ERROR_BYTES if is_error else self._limits.max_response_bytes
        body = bytearray()
        while piece := await response.content.readany():
            body += piece
            if len(body) > cap:
                if is_error:
                    break
                raise ProviderFailedError(
                    "PROTOCOL", f"The answer of {url.host} exceeds {cap} bytes. Send fewer documents."
                )
        del body[cap:]
        return Response(response.status, headers, bytes(body), sent)

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            if self._network.ca_file:
                self._tls()  # a mistake in the file is an error at once, also where no request needs it
            self._session = aiohttp.ClientSession(
                connector=connections.connector(),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _tls(self) -> ssl.SSLContext:
        if self._tls_context is None:
            self._tls_context = connections.tls_context(self._network)
        return self._tls_context

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        # OpenSSL waits by raising "more bytes, please", which is then the context of whatever happens meanwhile.
        if not isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            yield error
        error = error.__cause__ or error.__context__


def _caused_by(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    return any(isinstance(link, kinds) for link in _chain(error))


class _Cause(NamedTuple):
    """What exceptions of a library mean. `text` takes {host} and {port}, and nothing of the exception's own text."""

    kinds: tuple[type[BaseException], ...]
    code: str
    text: str
    retryable: bool = False


_CAUSES = (
    _Cause((socket.gaierror,), "DNS", "The host {host} has no address. Check base_url.", retryable=True),
    _Cause(
        (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError),
        "CONNECT",
        "{host}:{port} closed the connection during TLS. Check base_url and the server.",
        retryable=True,
    ),
    _Cause((ssl.SSLError,), "TLS", "No trusted TLS connection to {host}. Check base_url and the certificate."),
    _Cause(
        (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError),
        "CONNECT",
        "The proxy in the server's network.proxy gave no connection to {host}. Check the proxy.",
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
"""The first entry with a kind that occurs in the chain of causes decides."""


def _translated(error: Exception, url: Url) -> RerankError:
    """A library's exception -> ours. Its text is not passed on: it may hold a whole header."""
    if _caused_by(error, (connections.BlockedError,)):
        return ssrf_guard.blocked(url.host)
    if _caused_by(error, (UnicodeError,)):
        return CallerError("BAD_URL", "base_url has a host that begins with xn-- but is not a valid name. Correct it.")
    if any(isinstance(link, OSError) and link.errno in _EXHAUSTED for link in _chain(error)):
        return ProviderFailedError(
            "RESOURCE",
            "The worker has no free socket, file descriptor or memory. Raise its limits, or run fewer queries.",
            retryable=True,
        )
    for cause in _CAUSES:
        if _caused_by(error, cause.kinds):
            text = cause.text.format(host=url.host, port=url.port)
            return ProviderFailedError(cause.code, text, retryable=cause.retryable)
    return ProviderFailedError("CONNECT", f"The connection to {url.host}:{url.port} broke.", retryable=True)

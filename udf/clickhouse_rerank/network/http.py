"""The transport of a worker: POST a body, get a bounded response. The one place where bytes leave for a provider.

HTTP/1.1 over asyncio and llhttp's parser. Nothing acts of its own accord: no redirects, cookies, netrc, decompression
or proxies of the environment. Whatever goes wrong becomes one of our errors here, without the text of a library. A
proxy of the configuration looks up public hosts and connects to them; the host as written is checked all the same.
"""

import errno
import socket
import ssl
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from ..config.settings import Limits, Network
from ..errors import CallerError, ProviderFailedError, RerankError
from ..providers.base_url import Url, parse_url
from . import ssrf_guard
from .connection import Connection
from .connection_pool import BlockedError, ConnectionPool, ProxyError, Route, route_of
from .held_bytes import HeldBytes
from .response_reader import CompressedError, MalformedError, ResponseReader, TooLargeError
from .ssrf_guard import Scope
from .transport import Response

_MAX_TARGETS = 256
_JOINED_BYTES = 256 << 10
"""Head and body up to this size leave in one write; a larger body is not copied."""
_LINE_BREAKS = frozenset("\r\n\0")
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL))


class _Target(NamedTuple):
    """A URL in parts, the connections that may carry its requests, and how each of these begins."""

    url: Url
    route: Route
    head: str


class HttpTransport:
    """The `Transport` of a worker. Each connection serves one request at a time."""

    def __init__(self, network: Network, limits: Limits) -> None:
        self._network = network
        self._limits = limits
        self._target = lru_cache(maxsize=_MAX_TARGETS)(self._new_target)
        self._pool = ConnectionPool(network, limits.connect_s)
        self._held = HeldBytes(limits.max_held_bytes)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send one request; see `Transport.post`."""
        target = self._target(url)
        request = _request(target, headers, body)
        sent = 1
        try:
            connection = self._pool.kept(target.route)
            if connection is not None:
                reader = ResponseReader(self._limits.max_response_bytes)
                try:
                    return await self._response(connection, target, request, reader, sent)
                except OSError:
                    # The server may close a kept connection between two requests, just as this one goes out on it.
                    if reader.has_begun:
                        raise
                sent = 2
            connection = await self._opened(target)
            reader = ResponseReader(self._limits.max_response_bytes)
            return await self._response(connection, target, request, reader, sent)
        except ProviderFailedError as error:
            error.sent = sent
            raise
        except (MalformedError, TooLargeError, CompressedError, OSError) as error:
            failure = self._translated(error, target.url)
        # Outside of the handler, so that no exception of a library is its context: those may hold the request.
        if isinstance(failure, ProviderFailedError):
            failure.sent = sent
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _new_target(self, url: str) -> _Target:
        parts = parse_url(url)
        scope = ssrf_guard.check_host(parts, self._network)
        route = route_of(parts, scope, is_proxied=bool(self._network.proxy) and scope is Scope.PUBLIC)
        head = f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.authority}\r\nAccept: application/json\r\n"
        return _Target(parts, route, head + "Accept-Encoding: identity\r\n")

    async def _opened(self, target: _Target) -> Connection:
        try:
            return await self._pool.open(target.route)
        except (OSError, UnicodeError) as error:
            failure = _unopened(error, target.url)
        raise failure

    async def _response(
        self, connection: Connection, target: _Target, request: tuple[bytes, ...], reader: ResponseReader, sent: int
    ) -> Response:
        await connection.exchange(request, reader, self._held, target.url.host)
        self._pool.keep(target.route, connection)
        return Response(reader.status, reader.headers, reader.body, sent)

    def _translated(self, error: Exception, url: Url) -> RerankError:
        """What went wrong while a request was under way -> our error."""
        where = f"{url.host}:{url.port}"
        if isinstance(error, TooLargeError):
            most = self._limits.max_response_bytes
            return ProviderFailedError(
                "PROTOCOL", f"The answer of {url.host} exceeds {most} bytes. Send fewer documents."
            )
        if isinstance(error, CompressedError):
            text = f"{url.host} compressed its answer although asked not to. Turn its compression off."
            return ProviderFailedError("PROTOCOL", text)
        if isinstance(error, MalformedError):
            return ProviderFailedError("PROTOCOL", f"{where} does not speak HTTP as it should. Check base_url.")
        return _socket_failure(error, url, f"{where} closed the connection before its answer was complete.")


def _request(target: _Target, headers: Mapping[str, str], body: bytes) -> tuple[bytes, ...]:
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    if any(_LINE_BREAKS.intersection(line[:-2]) for line in lines):
        raise CallerError("BAD_KEY", "A header of the request has a line break. Check api_key and others.")
    head = f"{target.head}{''.join(lines)}Content-Length: {len(body)}\r\n\r\n".encode("latin-1", "replace")
    return (head + body,) if len(body) < _JOINED_BYTES else (head, body)


def _unopened(error: Exception, url: Url) -> RerankError:
    """Why there is no connection -> our error. A library's text is not passed on."""
    where = f"{url.host}:{url.port}"
    if isinstance(error, BlockedError):
        return ssrf_guard.blocked(url.host)
    if isinstance(error, UnicodeError):
        return CallerError("BAD_URL", "base_url has a host that begins with xn-- but is not a valid name. Correct it.")
    if isinstance(error, socket.gaierror):
        return ProviderFailedError("DNS", f"The host {url.host} has no address. Check base_url.", retryable=True)
    if isinstance(error, ProxyError):
        text = f"The proxy in the server's network.proxy gave no connection to {url.host}. Check the proxy."
    elif isinstance(error, TimeoutError):
        text = f"{where} does not answer. Check base_url and the network."
    else:
        text = f"{where} refuses connections. Check base_url and the server."
    return _socket_failure(error, url, text)


def _socket_failure(error: Exception, url: Url, otherwise: str) -> ProviderFailedError:
    """The failure of TLS or of this machine, where it was one; else CONNECT with the sentence `otherwise`."""
    if isinstance(error, ssl.SSLError):
        return _tls_failure(error, url)
    if _is_exhausted(error):
        return ProviderFailedError(
            "RESOURCE",
            "The worker has no free socket, file descriptor or memory. Raise its limits, or run fewer queries.",
            retryable=True,
        )
    return ProviderFailedError("CONNECT", otherwise, retryable=True)


def _tls_failure(error: ssl.SSLError, url: Url) -> ProviderFailedError:
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        text = f"{url.host}:{url.port} closed the connection during TLS. Check base_url and the server."
        return ProviderFailedError("CONNECT", text, retryable=True)
    return ProviderFailedError("TLS", f"No trusted TLS connection to {url.host}. Check base_url and the certificate.")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_exhausted(error: BaseException) -> bool:
    return any(isinstance(link, OSError) and link.errno in _EXHAUSTED for link in _chain(error))

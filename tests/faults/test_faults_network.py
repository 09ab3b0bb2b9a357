"""Names that do not resolve and certificates that do not convince."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
import pytest

from asking import HANG_S, RIGHT_REPLY, asked, code, outcome, row, settings
from certificates import Certificates
from clickhouse_rerank.admission import retry
from clickhouse_rerank.reranker import Reranker
from names import Names
from provider import Provider

pytestmark = pytest.mark.usefixtures("dialled")

# --- TLS


@pytest.fixture
def trusted(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority takes the place of the public ones."""
    monkeypatch.setattr(certifi, "where", lambda: str(certificates.authority))


class Greeter:
    """Does one thing with each connection, in a thread; asyncio's TLS would drop the alerts it should send."""

    def __init__(self, greet: Callable[[socket.socket], object]) -> None:
        self._greet = greet
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._server.getsockname()[1]}"
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(HANG_S)
                self._greet(connection)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(HANG_S)


def shake(context: ssl.SSLContext) -> Greeter:
    """A server that shakes hands and takes what comes."""

    def greet(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection.dup(), server_side=True) as secured:
                greeter.received.append(secured.recv(1 << 16))
        except ssl.SSLError:
            # Closed with unread bytes, the connection is reset, and the client may see that before it sees the alert.
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
            raise

    greeter = Greeter(greet)
    return greeter


def tls_1_0(context: ssl.SSLContext) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def demanding(context: ssl.SSLContext, authority: Path) -> ssl.SSLContext:
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.fault("F28")
def test_f28_a_trusted_certificate_is_accepted(certificates: Certificates, trusted: None) -> None:
    """What the other tests change is all that is wrong with theirs."""
    server = Provider(tls=certificates.server("good"))
    results = asked(row(server.url), row(server.url))
    server.close()
    assert [code(result) for result in results] == ["OK", "OK"]
    assert server.connections == 1


@pytest.mark.fault("F28")
@pytest.mark.parametrize("flaw", ["expired", "self-signed", "wrong name", "TLS 1.0", "wants a certificate"])
def test_f28_a_flaw_in_tls_is_final(certificates: Certificates, trusted: None, dialled: list[str], flaw: str) -> None:
    """Nothing arrives, nothing is tried again or with less security."""
    name = flaw.replace(" ", "-")
    context = {
        "expired": lambda: certificates.server(name, days=-1),
        "self-signed": lambda: certificates.server(name, signed=False),
        "wrong name": lambda: certificates.server(name, host="DNS:example.com,IP:127.0.0.9"),
        "TLS 1.0": lambda: tls_1_0(certificates.server(name)),
        "wants a certificate": lambda: demanding(certificates.server(name), certificates.authority),
    }[flaw]()
    server = shake(context)
    dialled.clear()
    (error,) = asked(row(server.url))
    server.close()
    assert [code(error), dialled, server.received] == ["TLS", ["127.0.0.1"], []]


@pytest.mark.fault("F28")
def test_f28_other_authorities_of_the_system_do_not_count(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that the trusted set does not know is refused, whatever the environment names."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    server = shake(certificates.server("unknown"))
    (error,) = asked(row(server.url))
    server.close()
    assert [code(error), server.received] == ["TLS", []]


@pytest.mark.fault("F28")
def test_f28_plain_http_behind_https_is_a_tls_error() -> None:
    """A server that does not speak TLS is told apart from one that does not answer."""
    server = Greeter(lambda connection: (connection.recv(1), connection.sendall(RIGHT_REPLY.encode())))
    (error,) = asked(row(server.url))
    server.close()
    assert code(error) == "TLS"


@pytest.mark.fault("F28")
def test_f28_a_reset_in_the_handshake_is_tried_again(dialled: list[str]) -> None:
    """A connection that dies while TLS begins is a connection that dies."""
    at_once = struct.pack("ii", 1, 0)
    server = Greeter(lambda connection: connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once))
    dialled.clear()
    (error,) = asked(row(server.url))
    server.close()
    assert [code(error), len(dialled)] == ["CONNECT", retry.ATTEMPTS]


# --- names


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Takes the place of the system's resolver."""
    return Names(monkeypatch)


def raising(error: Exception) -> Callable[[str], Any]:
    def answer(_: str) -> Any:
        raise error

    return answer


def named(provider: Provider) -> tuple[Any, Any]:
    """(row, settings) for the provider under a name."""
    return row(f"http://rerank.test:{provider.port}"), settings(allow_private=("rerank.test",), connect_s=1.0)


@pytest.mark.fault("F29")
@pytest.mark.parametrize(
    "answer",
    [
        raising(socket.gaierror(socket.EAI_NONAME, "Name or service not known")),
        raising(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")),
        lambda _: [],
    ],
    ids=["NXDOMAIN", "SERVFAIL", "no records"],
)
def test_f29_a_name_without_an_address_is_a_dns_error(
    provider: Provider, names: Names, answer: Callable[[str], Any]
) -> None:
    """The error names the host; nothing is dialled."""
    names.lookup = answer
    asking, within = named(provider)
    (error,) = asked(asking, within=within)
    assert [code(error), provider.connections] == ["DNS", 0]
    assert "rerank.test" in str(error)


@pytest.mark.fault("F29")
def test_f29_a_resolver_that_hangs_ends_with_the_connect_limit(provider: Provider, names: Names) -> None:
    """Looking a name up counts as connecting."""
    names.lookup = lambda _: asyncio.sleep(3600)
    asking, _ = named(provider)
    within = settings(allow_private=("rerank.test",), connect_s=0.2, row_deadline_s=8.0)
    (error,) = asked(asking, within=within)
    assert code(error) in ("DNS", "CONNECT")
    assert "rerank.test" in str(error)


@pytest.mark.fault("F29")
@pytest.mark.parametrize("dead", [["127.0.0.3"], ["::1"], ["127.0.0.3"] * 20])
def test_f29_a_dead_address_before_a_live_one_is_passed_over(provider: Provider, names: Names, dead: list[str]) -> None:
    """An address that refuses costs no attempt while another one answers."""
    names.lookup = lambda _: [*dead, "127.0.0.1"]
    asking, within = named(provider)
    assert [code(result) for result in asked(asking, within=within)] == ["OK"]
    assert len(provider.requests) == 1


@pytest.mark.fault("F29")
def test_f29_a_silent_address_before_a_live_one_is_overtaken(names: Names, black_hole: tuple[str, int]) -> None:
    """While the first address is silent the second one is tried, long before the limit."""
    host, port = black_hole
    script = RIGHT_REPLY.encode()
    names.lookup = lambda _: [host, "127.0.0.1"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(script)

    async def run() -> str:
        server = await asyncio.start_server(serve, "127.0.0.1", port)
        reranker = Reranker(settings(allow_private=("rerank.test",), connect_s=5.0))
        began = time.monotonic()
        result = code(await outcome(reranker, row(f"http://rerank.test:{port}")))
        await reranker.aclose()
        server.close()
        return result if time.monotonic() - began < 3 else "too late"

    assert asyncio.run(run()) == "OK"


@pytest.mark.fault("F29")
def test_f29_a_thousand_records_are_one_name(provider: Provider, names: Names) -> None:
    """A name with very many addresses is reached at one of them."""
    names.lookup = lambda _: ["127.0.0.1"] * 1000
    asking, within = named(provider)
    assert [code(result) for result in asked(asking, within=within)] == ["OK"]
    assert provider.connections == 1

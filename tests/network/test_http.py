"""The transport over HTTP: what a response holds, and how often a request was sent."""

from __future__ import annotations

import asyncio

import pytest

from asking import HANG_S, RIGHT_REPLY, answer, raw, row, settings
from clickhouse_rerank.config.settings import Limits, Network
from clickhouse_rerank.errors import ProviderFailedError
from clickhouse_rerank.network.http import HttpTransport
from clickhouse_rerank.network.transport import Response, Transport
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.usage.recorder import RowUsage
from provider import Provider, Reply, Script


def sent_in_turn(provider: Provider, script: Script, requests: int = 2) -> list[Response | ProviderFailedError]:
    """What comes of so many requests, one after the other, over one transport to a provider on loopback."""
    provider.reset(script)

    async def run() -> list[Response | ProviderFailedError]:
        transport: Transport = HttpTransport(Network(allow_loopback=True), Limits(connect_s=1.0))
        found: list[Response | ProviderFailedError] = []
        for _ in range(requests):
            try:
                async with asyncio.timeout(HANG_S):
                    found.append(await transport.post(f"{provider.url}/v1/rerank", {}, b"{}"))
            except ProviderFailedError as error:
                found.append(error)
        await transport.aclose()
        return found

    return asyncio.run(run())


CLOSED, RESET = Reply(close_after=0), Reply(reset_after=0)


@pytest.mark.fault("F41")
@pytest.mark.parametrize("end", [CLOSED, RESET], ids=["closed", "reset"])
def test_a_request_on_a_kept_connection_that_ends_is_sent_twice(provider: Provider, end: Reply) -> None:
    """The server ends the kept connection when the second request comes. The response to it counts both sendings."""
    found = sent_in_turn(provider, lambda request: answer() if request.turn == 1 else end)
    assert [isinstance(one, Response) and one.status for one in found] == [200, 200]
    assert [one.sent for one in found] == [1, 2]
    assert [(request.connection, request.turn) for request in provider.requests] == [(1, 1), (1, 2), (2, 1)]


COMPRESSED = answer(headers={"Content-Encoding": "gzip"})
TWICE = {"closed again": (CLOSED, "CONNECT"), "a response that cannot be read": (COMPRESSED, "PROTOCOL")}


@pytest.mark.fault("F41")
@pytest.mark.parametrize("name", TWICE)
def test_the_error_of_a_second_sending_counts_both(provider: Provider, name: str) -> None:
    """Whatever then goes wrong, on the new connection or in the response."""
    reply, code = TWICE[name]
    replies = iter([answer(), CLOSED, reply])
    _, error = sent_in_turn(provider, lambda _: next(replies))
    assert isinstance(error, ProviderFailedError)
    assert (error.code, error.sent, len(provider.requests)) == (code, 2, 3)
    assert error.__context__ is None and error.__cause__ is None


ONCE = {
    "on a new connection": [CLOSED],
    "in the head of a response": [answer(), raw("HTTP/1.1 200 OK\r\nA: b\r\n", close_after=24)],
}


@pytest.mark.fault("F41")
@pytest.mark.parametrize("name", ONCE)
def test_any_other_connection_that_ends_is_sent_once(provider: Provider, name: str) -> None:
    """A new connection that ends is the server's failure, and so is a response that has begun."""
    replies = ONCE[name]
    *_, error = sent_in_turn(provider, lambda request: replies[request.number - 1], len(replies))
    assert isinstance(error, ProviderFailedError)
    assert (error.code, error.sent, len(provider.requests)) == ("CONNECT", 1, len(replies))


@pytest.mark.fault("F41")
@pytest.mark.parametrize("fails", [False, True])
def test_the_usage_of_a_row_counts_both_sendings(provider: Provider, fails: bool) -> None:
    """`attempts` of the usage log is what the provider saw."""
    provider.reset(lambda request: answer() if request.turn == 1 and (request.number == 1 or not fails) else CLOSED)

    async def run() -> list[int]:
        reranker, counted = Reranker(settings()), []
        for _ in range(2):
            account = RowUsage()
            try:
                await reranker.rank(row(provider.url), account)
            except ProviderFailedError as error:
                assert fails, error
            assert account.last is not None
            counted.append(account.last.attempts)
        await reranker.aclose()
        return counted

    first, second = asyncio.run(run())
    assert first == 1
    assert first + second == len(provider.requests)
    assert second == (4 if fails else 2)


def test_headers_are_found_in_lower_case(provider: Provider) -> None:
    """Whatever their case on the wire; of a repeated header, the first value counts. Nothing of the library is left."""
    head, body = RIGHT_REPLY.split("\r\n\r\n")
    (response,) = sent_in_turn(provider, lambda _: raw(f"{head}\r\nRETRY-After: 1\r\nretry-after: 2\r\n\r\n{body}"), 1)
    assert isinstance(response, Response)
    assert type(response.headers) is dict and type(response.body) is bytes
    assert response.headers["retry-after"] == "1"
    assert all(type(text) is str and name == name.lower() for name, text in response.headers.items())


BAD = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"


@pytest.mark.fault("F19")
@pytest.mark.parametrize("stays", [False, True], ids=["that closes", "that stays open"])
def test_a_bad_chunk_behind_a_good_one_fails_its_row_when_it_comes(provider: Provider, stays: bool) -> None:
    """The row has minutes left, and the server may never close the connection: nothing is waited for."""
    provider.reset(lambda _: raw(BAD, close=not stays))

    async def run() -> str:
        reranker = Reranker(settings(row_deadline_s=300.0))
        try:
            async with asyncio.timeout(HANG_S):
                await reranker.rank(row(provider.url))
        except ProviderFailedError as error:
            return error.code
        finally:
            await reranker.aclose()
        return "OK"

    assert asyncio.run(run()) == "PROTOCOL"
    assert len(provider.requests) == 1


@pytest.mark.fault("F17")
def test_large_bodies_without_end_do_not_stop_those_of_another_host(provider: Provider) -> None:
    """They hold their share of the memory for large bodies until their rows give up, and no more."""
    endless = Reply(body=b" " * 100_000, headers={"Content-Length": "200000"})
    large = Reply(body=b" " * 150_000)
    provider.reset(lambda request: {"/endless": endless, "/large": large}.get(request.path, answer()))

    async def run() -> int:
        limits = Limits(connect_s=1.0, max_held_bytes=400_000)
        transport = HttpTransport(Network(allow_loopback=True), limits)
        stuck = [asyncio.create_task(transport.post(f"{provider.url}/endless", {}, b"{}")) for _ in range(4)]
        async with asyncio.timeout(HANG_S):
            while sum(request.path == "/endless" for request in provider.requests) < len(stuck):
                await transport.post(f"{provider.url}/small", {}, b"{}")
            await transport.post(f"{provider.url}/small", {}, b"{}")
            response = await transport.post(f"http://localhost:{provider.port}/large", {}, b"{}")
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        await transport.aclose()
        return len(response.body)

    assert asyncio.run(run()) == 150_000

"""A provider that refuses, stalls, breaks off and lies: each row gets the right answer or one clear error, in time."""

from __future__ import annotations

import asyncio
import gzip
import random
import shutil
import subprocess
import time
import zlib
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from asking import (
    DOCUMENTS,
    HANG_S,
    KEY,
    QUERY,
    RIGHT,
    RIGHT_BODY,
    RIGHT_REPLY,
    always,
    answer,
    asked,
    asked_together,
    code,
    first,
    float32,
    outcome,
    raw,
    row,
    settings,
)
from clickhouse_rerank.admission import retry
from clickhouse_rerank.errors import RerankError
from clickhouse_rerank.reranker import Reranker
from conftest import Sql
from provider import Provider, Reply, Request, cohere

pytestmark = pytest.mark.usefixtures("dialled")
SOON = {"retry-after-ms": "1"}
LONGER_THAN_ANY_FIRST_BACKOFF_S = 0.6


def items(*scored: Any) -> bytes:
    """An answer with these (index, score) pairs, written as they are: texts stand for themselves."""
    return b'{"results":[%s]}' % b",".join(b'{"index":%s,"relevance_score":%s}' % pair for pair in scored)


# --- what a status means


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(400, "BAD_REQUEST", marks=pytest.mark.fault("F1")),
        pytest.param(401, "AUTH", marks=pytest.mark.fault("F2")),
        pytest.param(403, "AUTH", marks=pytest.mark.fault("F2")),
        pytest.param(402, "QUOTA", marks=pytest.mark.fault("F3")),
        pytest.param(404, "NOT_FOUND", marks=pytest.mark.fault("F4")),
        pytest.param(413, "TOO_LARGE", marks=pytest.mark.fault("F6")),
        pytest.param(422, "BAD_REQUEST", marks=pytest.mark.fault("F7")),
        pytest.param(424, "PROVIDER", marks=pytest.mark.fault("F7")),
    ],
)
def test_a_refusal_is_final_and_in_the_providers_words(provider: Provider, status: int, expected: str) -> None:
    """One request, and an error that names provider, status and reason, or only the first two when there is none."""
    provider.script = first(Reply(status, {"message": "the reason"}), then=always(Reply(status, body=b"")))
    spoken, silent = asked(row(provider.url), row(provider.url))
    assert [code(spoken), code(silent), len(provider.requests)] == [expected, expected, 2]
    assert f"Cohere answered {status} (the reason)." in str(spoken)
    assert f"Cohere answered {status}. " in str(silent)


@pytest.mark.fault("F2")
@pytest.mark.parametrize(
    "body",
    [
        b'{"message": "no such key %s here"}' % KEY.encode(),
        b'{"detail": [{"msg": "Bearer %s is wrong"}]}' % KEY.encode(),
        b"plain words with %s in them" % KEY.encode(),
        b'{"message": "cut off behind %s' % KEY.encode(),
        b'{"message": "%s"}' % "".join(f"\\u{ord(c):04x}" for c in KEY).encode(),
    ],
)
@pytest.mark.parametrize("status", [401, 400, 500])
def test_f2_a_key_that_the_provider_repeats_is_not_shown(provider: Provider, status: int, body: bytes) -> None:
    """Whatever shape the provider's words have, the key in them is masked; `outcome` looks for it."""
    provider.script = always(Reply(status, body=body, headers={"retry-after": "9999"}))
    (error,) = asked(row(provider.url))
    assert isinstance(error, RerankError)


@pytest.mark.fault("F3")
def test_f3_a_used_up_trial_says_so(provider: Provider) -> None:
    """A 429 that means the account's allowance carries the provider's words to the user."""
    words = "You are using a Trial key, which is limited to 1000 API calls / month"
    provider.script = always(Reply(429, {"message": words}, headers={"retry-after": "9999"}))
    (error,) = asked(row(provider.url))
    assert code(error) in ("QUOTA", "RATE_LIMIT")
    assert words in str(error)


@pytest.mark.parametrize(
    "status",
    [pytest.param(s, marks=pytest.mark.fault("F5")) for s in (408, 409, 425)]
    + [pytest.param(429, marks=pytest.mark.fault("F8"))]
    + [pytest.param(s, marks=pytest.mark.fault("F12")) for s in (500, 502, 503, 504, 529)],
)
def test_a_passing_failure_is_tried_again(provider: Provider, status: int) -> None:
    """Once, and the second answer counts: exactly two requests."""
    provider.script = first(Reply(status, {"message": "not now"}, headers=SOON))
    assert [code(result) for result in asked(row(provider.url))] == ["OK"]
    assert len(provider.requests) == 2


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(408, "PROVIDER", marks=pytest.mark.fault("F5")),
        pytest.param(429, "RATE_LIMIT", marks=pytest.mark.fault("F8")),
        pytest.param(500, "PROVIDER", marks=pytest.mark.fault("F13")),
    ],
)
def test_a_lasting_failure_is_tried_three_times(provider: Provider, status: int, expected: str) -> None:
    """The third attempt is the last one, and its words are the error's."""
    provider.script = lambda request: Reply(status, {"message": f"no {request.number}"}, headers=SOON)
    (error,) = asked(row(provider.url))
    assert [code(error), len(provider.requests)] == [expected, retry.ATTEMPTS]
    assert "(no 3)" in str(error)


@pytest.mark.fault("F8")
def test_f8_clients_that_failed_together_come_back_apart() -> None:
    """A thousand waits are spread evenly over their range (Kolmogorov-Smirnov, 1 %)."""
    draw = random.Random(11).uniform
    waits = sorted(retry.backoff_s(2, draw) for _ in range(1000))
    assert max(abs(wait - (at + 0.5) / 1000) for at, wait in enumerate(waits)) < 1.63 / 1000**0.5


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"retry-after-ms": "600"}, marks=pytest.mark.fault("F9")),
        pytest.param({"Retry-After": "0.6"}, marks=pytest.mark.fault("F9")),
        pytest.param(
            {"Retry-After": "Wed, 18 Nov 2026 10:00:01 GMT", "Date": "Wed, 18 Nov 2026 10:00:00 GMT"},
            marks=pytest.mark.fault("F10"),
        ),
        pytest.param({"Retry-After": "soon", "X-RateLimit-Reset": "1"}, marks=pytest.mark.fault("F10")),
    ],
)
def test_a_hint_when_to_come_back_is_kept(provider: Provider, headers: dict[str, str]) -> None:
    """The second request comes no sooner than the provider said, by milliseconds, seconds, date or reset time."""
    provider.script = first(Reply(429, {"message": "slow down"}, headers=headers))
    assert [code(result) for result in asked(row(provider.url))] == ["OK"]
    refused, accepted = provider.requests
    assert accepted.at_s - refused.at_s >= LONGER_THAN_ANY_FIRST_BACKOFF_S


@pytest.mark.fault("F10")
@pytest.mark.parametrize(
    "headers",
    [
        "Retry-After: Wed, 18 Nov 2026 09:00:00 GMT\r\nDate: Wed, 18 Nov 2026 10:00:00 GMT",
        "Retry-After: next week",
        "Retry-After: -5",
        "Retry-After: " + "9" * 400,
        "Retry-After: 0\r\nRetry-After: 0",
        "Retry-After: ",
        "RateLimit: t=\r\nX-RateLimit-Reset: NaN",
    ],
)
def test_f10_a_useless_hint_does_no_harm(provider: Provider, headers: str) -> None:
    """A time in the past, garbage, a negative or endless number and a header sent twice are tried again as without."""
    provider.script = first(raw(f"HTTP/1.1 429 Slow\r\n{headers}\r\nContent-Length: 0\r\n\r\n"))
    assert [code(result) for result in asked(row(provider.url))] == ["OK"]
    assert len(provider.requests) == 2


@pytest.mark.fault("F10")
@pytest.mark.parametrize("seconds", ["1000000000", "20"])
def test_f10_a_wait_beyond_the_deadline_fails_at_once(provider: Provider, seconds: str) -> None:
    """A provider that wants to be left alone for longer than the row may take gets no second request."""
    provider.script = always(Reply(429, {"message": "slow down"}, headers={"Retry-After": seconds}))
    (error,) = asked(row(provider.url, others={"timeout_s": 5}))
    assert [code(error), len(provider.requests)] == ["RATE_LIMIT", 1]


@pytest.mark.fault("F11")
def test_f11_an_answer_that_uses_up_the_allowance_is_an_answer(provider: Provider) -> None:
    """A 200 that says nothing remains is right, and so is the next row."""
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}
    provider.script = first(answer(headers=headers))
    assert [code(result) for result in asked(row(provider.url), row(provider.url))] == ["OK", "OK"]
    assert len(provider.requests) == 2


@pytest.mark.fault("F13")
def test_f13_an_outage_costs_hardly_more_than_a_request_a_row(provider: Provider) -> None:
    """A thousand rows in a total outage all fail: the first 64 are sent, twenty are tried again, and few follow."""
    provider.script = always(Reply(500, {"message": "down"}, headers=SOON))
    results = asked_together([row(provider.url, query=f"one {i}") for i in range(1000)])
    assert {code(result) for result in results} == {"PROVIDER"}
    assert len(provider.requests) <= 150


@pytest.mark.fault("F43")
def test_f43_after_an_outage_rows_are_right_again(provider: Provider) -> None:
    """No row is wrong while the provider is down; within seconds of its return all rows are right."""
    provider.script = always(Reply(503, {"message": "down"}, headers=SOON))

    async def run() -> list[str]:
        reranker = Reranker(settings())
        seen = [code(await outcome(reranker, row(provider.url, query=f"one {i}"))) for i in range(100)]
        provider.script = cohere
        async with asyncio.timeout(5):
            while set(seen[-100:]) != {"OK"}:
                seen.append(code(await outcome(reranker, row(provider.url))))
                await asyncio.sleep(0.005)
        await reranker.aclose()
        return seen

    seen = asyncio.run(run())
    assert set(seen[:100]) == {"PROVIDER"}
    assert set(seen) == {"PROVIDER", "OK"}


@pytest.mark.fault("F43")
def test_f43_a_query_after_an_outage_is_asked_in_full(sql: Sql, provider: Provider) -> None:
    """A look whether the provider is back is not given up for the query's other rows: they wait for what it finds."""
    query = f"""SELECT Rerank('one ' || toString(number), ['one', 'two'], 1, 'Cohere', '{provider.url}', 'k', '')
                FROM numbers(64)"""
    provider.script = always(Reply(503, {"message": "down for now"}, headers=SOON))
    for _ in range(3):
        assert "(down for now)" in sql.error(query)
    provider.script = cohere
    until = time.monotonic() + 5
    while True:
        try:
            rows = sql.rows(query)
            break
        except DatabaseError:
            assert time.monotonic() < until
    assert rows == [([(0, "one", 0.5)],)] * 64


HF = {"provider": "HuggingFace"}


def labelled(request: Request) -> Reply:
    """A text classification model's answer: the first document is the best."""
    return Reply(json=[[{"label": "LABEL_0", "score": 1 / (at + 2)}] for at in range(len(request.json["inputs"]))])


@pytest.mark.fault("F14")
def test_f14_a_model_that_loads_is_waited_for(provider: Provider) -> None:
    """The estimated time is waited for when it fits, and the second request is answered."""
    loading = Reply(503, {"error": "Model x is currently loading", "estimated_time": 0.6})
    provider.script = first(loading, then=labelled)
    (result,) = asked(row(provider.url, **HF))
    assert result == [(0, 0.5), (1, float32(1 / 3))]
    refused, accepted = provider.requests
    assert accepted.at_s - refused.at_s >= LONGER_THAN_ANY_FIRST_BACKOFF_S


@pytest.mark.fault("F14")
@pytest.mark.parametrize("estimate", [20.0, 1809.18])
def test_f14_a_model_that_loads_for_too_long_is_an_error(provider: Provider, estimate: float) -> None:
    """An estimate beyond the deadline fails at once, with the code that says why."""
    provider.script = always(Reply(503, {"error": "Model x is currently loading", "estimated_time": estimate}))
    (error,) = asked(row(provider.url, **HF))
    assert [code(error), len(provider.requests)] == ["LOADING", 1]


@pytest.mark.fault("F14")
@pytest.mark.parametrize("estimate", ["x", None, -1, [], True, 1e400])
def test_f14_an_estimate_that_is_no_time_does_no_harm(provider: Provider, estimate: object) -> None:
    """Garbage in its place is a failure like any other 503."""
    loading = Reply(503, {"error": "Model x is currently loading", "estimated_time": estimate}, headers=SOON)
    provider.script = first(loading, then=labelled)
    (result,) = asked(row(provider.url, **HF))
    assert result == [(0, 0.5), (1, float32(1 / 3))]


def sagemaker(provider: Provider, **more: Any) -> Any:
    keys = {"access_key_id": "AKIAEXAMPLE", "region_name": "us-east-1", "endpoint_url": provider.url}
    return row("my-endpoint", provider="SageMaker", others=keys, **more)


def model_error(original: int) -> Reply:
    """What SageMaker makes of a container's failure."""
    body = {"ErrorCode": "ModelError", "OriginalStatusCode": original, "OriginalMessage": "the container's words"}
    return Reply(424, body, headers={"x-amzn-errortype": "ModelError"} | SOON)


@pytest.mark.fault("F15")
@pytest.mark.parametrize("original", [429, 500, 503])
def test_f15_a_passing_failure_of_the_container_is_tried_again(provider: Provider, original: int) -> None:
    """A 424 counts by the status that the container gave."""
    provider.script = first(model_error(original), then=labelled)
    (result,) = asked(sagemaker(provider))
    assert result == [(0, 0.5), (1, float32(1 / 3))]
    assert len(provider.requests) == 2


@pytest.mark.fault("F15")
@pytest.mark.parametrize("original", [400, 404, 413])
def test_f15_a_refusal_of_the_container_is_final(provider: Provider, original: int) -> None:
    """A 424 for a request that the container refuses is sent once, and its words are shown."""
    provider.script = always(model_error(original))
    (error,) = asked(sagemaker(provider))
    assert len(provider.requests) == 1
    assert "the container's words" in str(error)


@pytest.mark.fault("F15")
@pytest.mark.parametrize(
    "words", ["The security token included in the request is expired", "Signature expired: 20261118T100000Z is now"]
)
def test_f15_an_expired_token_and_a_wrong_clock_are_told(provider: Provider, words: str) -> None:
    """A refused signature is an AUTH error in the service's words."""
    provider.script = always(Reply(403, {"message": words}))
    (error,) = asked(sagemaker(provider))
    assert [code(error), len(provider.requests)] == ["AUTH", 1]
    assert words in str(error)


@pytest.mark.fault("F15")
def test_f15_a_model_that_is_not_ready_is_tried_again(provider: Provider) -> None:
    """ModelNotReadyException comes with 429 and passes."""
    busy = Reply(429, {"message": "Model is not ready"}, headers={"x-amzn-errortype": "ModelNotReadyException"} | SOON)
    provider.script = first(busy, then=labelled)
    assert asked(sagemaker(provider)) == [[(0, 0.5), (1, float32(1 / 3))]]


@pytest.mark.fault("F16")
def test_f16_interim_answers_are_skipped(provider: Provider) -> None:
    """100 and 103 in front of the answer, even a dozen, change nothing."""
    interim = "HTTP/1.1 100 Continue\r\n\r\n" + "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 11
    provider.script = always(raw(interim + RIGHT_REPLY))
    assert [code(result) for result in asked(row(provider.url), row(provider.url))] == ["OK", "OK"]


@pytest.mark.fault("F16")
@pytest.mark.parametrize("status", [201, 202, 204, 206, 226])
def test_f16_another_kind_of_success_is_no_answer(provider: Provider, status: int) -> None:
    """A 2xx that is not 200 is refused even with a right body, and not asked again."""
    body = "" if status == 204 else f"Content-Length: {len(RIGHT_BODY)}\r\n\r\n{RIGHT_BODY}"
    provider.script = always(raw(f"HTTP/1.1 {status} Fine\r\n{body or chr(13) + chr(10)}"))
    (error,) = asked(row(provider.url))
    assert [code(error), len(provider.requests)] == ["PROTOCOL", 1]


# --- time


@pytest.mark.fault("F17")
@pytest.mark.parametrize(
    "slow",
    [
        raw(RIGHT_REPLY, byte_delay_s=0.02),
        answer(byte_delay_s=0.02),
        Reply(never=True),
        raw(f"HTTP/1.1 200 OK\r\nContent-Length: {len(RIGHT_BODY)}\r\n\r\n", byte_delay_s=1e-9),
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n", byte_delay_s=0.01),
    ],
    ids=["headers", "body", "silence", "stall behind headers", "stall in chunks"],
)
def test_f17_a_slow_answer_ends_at_the_deadline(provider: Provider, slow: Reply) -> None:
    """Each byte comes in time, the whole does not: the row's own deadline counts, not a limit per read."""
    provider.script = always(slow)
    (error,) = asked(row(provider.url, others={"timeout_s": 0.5}))
    assert [code(error), len(provider.requests)] == ["TIMEOUT", 1]
    assert "within 0.5 s" in str(error)


@pytest.mark.fault("F18", "F20")
def test_f18_64_rows_without_an_answer_fail_together(provider: Provider) -> None:
    """A provider that accepts and is silent costs one deadline, not 64; rows for another endpoint are answered."""
    provider.script = lambda request: Reply(never=True) if request.path == "/silent/v1/rerank" else cohere(request)
    silent = [row(f"{provider.url}/silent/v1/rerank", query=f"one {i}", others={"timeout_s": 1}) for i in range(64)]
    began = time.monotonic()
    results = asked_together([*silent, row(provider.url)])
    assert time.monotonic() - began < 5
    assert [code(result) for result in results] == ["TIMEOUT"] * 64 + ["OK"]


@pytest.mark.fault("F18")
def test_f18_a_host_that_does_not_answer_is_dialled_three_times(
    black_hole: tuple[str, int], dialled: list[str]
) -> None:
    """Each attempt to connect has a limit of its own; the error says that nothing answers there."""
    host, port = black_hole
    dialled.clear()
    (error,) = asked(row(f"http://{host}:{port}"), within=settings(connect_s=0.2, row_deadline_s=8.0))
    assert code(error) == "CONNECT"
    assert f"{host}:{port} does not answer" in str(error)
    assert dialled == [host] * retry.ATTEMPTS


@pytest.mark.fault("F67")
def test_f67_the_wall_clock_may_jump(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock set a day back and forth at every look neither ends a row early nor keeps one waiting."""
    now = time.time()
    jumps = iter(range(1 << 30))
    monkeypatch.setattr(time, "time", lambda: now + 86_400 * (-1) ** next(jumps))
    provider.script = first(Reply(429, {"message": "x"}, headers=SOON), Reply(503, {"message": "x"}, headers=SOON))
    assert [code(result) for result in asked(row(provider.url), row(provider.url))] == ["OK", "OK"]
    provider.script = always(Reply(never=True))
    assert [code(result) for result in asked(row(provider.url, others={"timeout_s": 0.3}))] == ["TIMEOUT"]


@pytest.mark.fault("F75")
def test_f75_a_deadline_holds_on_a_busy_machine(provider: Provider) -> None:
    """With more processes at work than there are processors, a row without an answer still ends."""
    busy = [subprocess.Popen([shutil.which("sh") or "sh", "-c", "while :; do :; done"]) for _ in range(4)]
    try:
        provider.script = always(Reply(never=True))
        assert [code(result) for result in asked(row(provider.url, others={"timeout_s": 0.5}))] == ["TIMEOUT"]
    finally:
        for process in busy:
            process.kill()
            process.wait()


# --- the connection


CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    "reset at once": Reply(reset_after=0),
    "reset in the head": answer(reset_after=20),
    "reset in the body": answer(reset_after=120),
    "closed at once": Reply(close_after=0),
    "closed in the head": answer(close_after=20),
    "closed in the body": answer(close_after=120),
    "no last chunk": raw(f"{CHUNKED}{len(RIGHT_BODY):x}\r\n{RIGHT_BODY}\r\n", close=True),
}


@pytest.mark.fault("F19")
@pytest.mark.parametrize("name", BROKEN)
def test_f19_an_answer_that_breaks_off_is_asked_for_again(provider: Provider, name: str) -> None:
    """A reset, an early end or broken framing is tried again on a new connection; half an answer is never used."""
    provider.script = first(BROKEN[name])
    assert [code(result) for result in asked(row(provider.url))] == ["OK"]
    assert [request.connection for request in provider.requests] == [1, 2]


@pytest.mark.fault("F19")
@pytest.mark.parametrize("name", ["reset at once", "reset in the body", "closed in the body", "no last chunk"])
def test_f19_an_answer_that_always_breaks_off_is_an_error(provider: Provider, name: str) -> None:
    """After three attempts the error says what happened."""
    provider.script = always(BROKEN[name])
    (error,) = asked(row(provider.url))
    assert [code(error), len(provider.requests)] == ["CONNECT", retry.ATTEMPTS]
    assert "closed the connection before its answer was complete" in str(error)


@pytest.mark.fault("F20")
def test_f20_an_answer_in_single_bytes_is_whole(provider: Provider) -> None:
    """Head and body may come a byte at a time."""
    provider.script = always(raw(RIGHT_REPLY, byte_delay_s=1e-9))
    assert [code(result) for result in asked(row(provider.url), row(provider.url))] == ["OK", "OK"]


@pytest.mark.fault("F41")
def test_f41_a_kept_connection_that_dies_costs_nothing(provider: Provider) -> None:
    """A server that closes kept connections just as the next request leaves is asked once more, free of any budget."""
    provider.script = lambda request: cohere(request) if request.turn == 1 else Reply(close_after=0)
    results = asked(*[row(provider.url)] * 100)
    assert {code(result) for result in results} == {"OK"}
    assert len(provider.requests) == 199


@pytest.mark.fault("F41")
@pytest.mark.parametrize("turns", [1, 3])
def test_f41_a_connection_that_was_closed_is_not_used(provider: Provider, turns: int) -> None:
    """A server that closes after so many answers, without having said so, is asked once a row."""
    provider.script = lambda request: answer(close=request.turn == turns)

    async def run() -> list[str]:
        reranker = Reranker(settings())
        results = []
        for _ in range(9):
            results.append(code(await outcome(reranker, row(provider.url))))
            if provider.requests[-1].turn == turns:
                await asyncio.to_thread(provider.gone.acquire, timeout=HANG_S)
                await asyncio.sleep(0.01)  # the end of the connection has left the server; the loop must see it
        await reranker.aclose()
        return results

    while provider.gone.acquire(blocking=False):
        pass
    assert set(asyncio.run(run())) == {"OK"}
    assert provider.connections == -(-9 // turns)


@pytest.mark.fault("F42")
def test_f42_a_server_that_drops_every_second_connection_is_enough(provider: Provider) -> None:
    """All rows are right, with at most half as many requests again."""
    provider.drops = lambda connection: connection % 2 == 0
    provider.script = lambda request: answer(close=request.turn == 10)
    rows = [row(provider.url, query=f"one zebra {number}") for number in range(100)]
    results = asked(*rows) + asked_together(rows, within=settings(max_in_flight=8))
    assert {code(result) for result in results} == {"OK"}
    assert len(provider.requests) <= 300


@pytest.mark.fault("F72")
def test_f72_a_toxic_mix_leaves_every_row_right(provider: Provider) -> None:
    """Delays, resets, 429, 503 and cut bodies, one in a hundred each: every row is right, with few requests more."""
    chance = random.Random(5)

    def script(request: Request) -> Reply:
        reply, roll = cohere(request), chance.random()
        body, delay_s = reply.wire()[1], chance.uniform(0.001, 0.009)
        if roll < 0.01:
            return Reply(body=body, delay_s=delay_s, reset_after=chance.choice((0, 20, 90)))
        if roll < 0.03:
            return Reply(429 if roll < 0.02 else 503, {"message": "later"}, delay_s=delay_s)
        return Reply(body=body, delay_s=delay_s, close_after=100 if roll < 0.031 else None)

    provider.script = script
    rows = [
        row(provider.url, query=f"w{i % 7}", documents=[f"w{j}" for j in range(7)], top_k=1, others={"timeout_s": 5})
        for i in range(2000)
    ]
    results = asked_together(rows)
    assert results == [[(i % 7, 1.0)] for i in range(2000)]
    assert len(provider.requests) <= 2100


@pytest.mark.fault("F73")
def test_f73_one_key_failing_leaves_the_other_alone(provider: Provider) -> None:
    """Two keys of one host in turn, one revoked, then one broken: the other's rows are all right."""

    def script(request: Request) -> Reply:
        key = request.headers["authorization"].removeprefix("Bearer ")
        refusal = {"revoked-key": Reply(401, {"message": "revoked"}), "broken-key": Reply(500, headers=SOON)}
        return refusal.get(key) or cohere(request)

    provider.script = script
    for key, expected in (("revoked-key", "AUTH"), ("broken-key", "PROVIDER")):
        pairs = [row(provider.url, key=name, query=f"{QUERY} {i}") for i in range(60) for name in (key, KEY)]
        results = asked_together(pairs)
        assert {code(result) for result in results[::2]} == {expected}
        assert all(isinstance(result, list) for result in results[1::2])


# --- the answer's bytes


@pytest.mark.fault("F21")
@pytest.mark.parametrize(
    ("reply", "expected", "words"),
    [
        (Reply(body=b"<!doctype html><h1>Sign in</h1>"), "PROTOCOL", "an HTML page"),
        (Reply(json={"error": "model exploded"}), "PROVIDER", "model exploded"),
        (Reply(body=b""), "PROTOCOL", "nothing"),
        (Reply(body=b" \n"), "PROTOCOL", "nothing"),
        (Reply(body=RIGHT_BODY.encode("utf-16")), "PROTOCOL", "no valid JSON"),
        (Reply(body=b"\xef\xbb\xbf" + RIGHT_BODY.encode()), "OK", ""),
        (answer(headers={"Content-Type": "text/html; charset=utf-16"}), "OK", ""),
        (answer(headers={"Content-Type": "\xff"}), "OK", ""),
    ],
)
def test_f21_a_200_is_read_by_its_body(provider: Provider, reply: Reply, expected: str, words: str) -> None:
    """Pages, errors and nothing under status 200 are told apart; a BOM and a wrong Content-Type do not matter."""
    provider.script = always(reply)
    (result,) = asked(row(provider.url))
    assert code(result) == expected
    assert words in str(result)
    assert len(provider.requests) == 1


@pytest.mark.fault("F22")
@pytest.mark.parametrize(
    "body",
    [
        RIGHT_BODY.encode()[:-2],
        RIGHT_BODY.encode() + b"x",
        RIGHT_BODY.encode() * 2,
        b"[" * 100_000,
        b'{"results":' * 100_000,
        b'{"results":[],"n":%s}' % (b"9" * 5000),
        items((b"9" * 30, b"1")),
        b'{"results":[],"id":"\\ud800"}',
        b'{"results":[],"id":"\xff"}',
        b"null",
        b"5",
        b'"text"',
        b"[null]",
        b'{"results":{}}',
        b'{"results":[[]]}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_f22_json_that_is_none_or_another_is_an_error(provider: Provider, body: bytes) -> None:
    """Cut, doubled, deep, huge and foreign JSON: one error, one request, no exception of a parser."""
    provider.script = always(Reply(body=body))
    (error,) = asked(row(provider.url))
    assert [code(error), len(provider.requests)] == ["PROTOCOL", 1]


@pytest.mark.fault("F23")
@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(RIGHT_BODY.encode())),
        ("deflate", zlib.compress(RIGHT_BODY.encode())),
        ("br", b"\x0b\x02\x80\x7b\x7d\x03"),
        ("zstd", b"\x28\xb5\x2f\xfd\x04\x00"),
        ("gzip, gzip", gzip.compress(gzip.compress(RIGHT_BODY.encode()))),
        ("GZIP", RIGHT_BODY.encode()),
    ],
)
def test_f23_a_compressed_answer_is_refused(provider: Provider, coding: str, body: bytes) -> None:
    """The request asks for no compression, and what is compressed all the same is never unpacked."""
    provider.script = always(Reply(body=body, headers={"Content-Encoding": coding}))
    (error,) = asked(row(provider.url))
    assert [code(error), len(provider.requests)] == ["PROTOCOL", 1]
    assert "compressed its answer" in str(error)
    assert provider.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.fault("F23")
def test_f23_a_compressed_refusal_is_shown_without_its_words(provider: Provider) -> None:
    """Compressed error text is not printed as it is."""
    body = gzip.compress(b'{"message":"no such model"}', mtime=0)
    provider.script = always(Reply(400, body=body, headers={"Content-Encoding": "gzip"}))
    (error,) = asked(row(provider.url))
    assert code(error) == "BAD_REQUEST"
    assert str(error).isascii(), error


@pytest.mark.fault("F24")
@pytest.mark.parametrize("length", ["right", "none", "chunked"])
def test_f24_an_answer_over_the_cap_is_an_error(provider: Provider, length: str) -> None:
    """Announced, unannounced or in chunks: reading stops at the cap, and the connection is not used again."""
    headers: dict[str, Any] = {"right": {}, "none": {"Content-Length": None}}.get(length, {})
    reply = Reply(body=b" " * 1000, repeat=200, headers=headers, close=length == "none")
    if length == "chunked":
        reply = raw(CHUNKED + "3e8\r\n" + " " * 1000 + "\r\n", close=True)
        reply = Reply(raw=reply.raw + (b"3e8\r\n" + b" " * 1000 + b"\r\n") * 200, close=True)
    provider.script = first(reply)
    error, right = asked(row(provider.url), row(provider.url), within=settings(max_response_bytes=100_000))
    assert [code(error), code(right)] == ["PROTOCOL", "OK"]
    assert "exceeds 100000 bytes" in str(error)
    assert [request.connection for request in provider.requests] == [1, 2]


@pytest.mark.fault("F24")
def test_f24_an_answer_as_large_as_the_cap_is_read(provider: Provider) -> None:
    """The cap itself is allowed."""
    provider.script = always(Reply(body=RIGHT_BODY.encode().ljust(100_000)))
    results = asked(row(provider.url), within=settings(max_response_bytes=100_000))
    assert [code(result) for result in results] == ["OK"]


@pytest.mark.fault("F19", "F25")
@pytest.mark.parametrize(
    "text",
    [
        f"{CHUNKED}ZZ\r\n{RIGHT_BODY}\r\n0\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nX: {'x' * 100_000}\r\n" + RIGHT_REPLY.partition("\r\n")[2],
        "HTTP/1.1 200 OK\r\n" + "".join(f"X{i}: 1\r\n" for i in range(10_000)) + RIGHT_REPLY.partition("\r\n")[2],
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 99999 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n" + RIGHT_BODY,
        RIGHT_BODY,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x00\x00\x12\x04\x00\x00\x00\x00\x00" + "\x00" * 18,
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 200 OK\r\nX y: 1\r\n" + RIGHT_REPLY.partition("\r\n")[2],
        "HTTP/1.1 200 OK\r\nX: \x00\r\n" + RIGHT_REPLY.partition("\r\n")[2],
    ],
    ids=lambda text: ascii(text[:30]),
)
def test_f25_what_is_not_http_is_an_error(provider: Provider, text: str) -> None:
    """A giant or broken head, HTTP/0.9, HTTP/2 and other protocols end in one error, not in attempts."""
    provider.script = always(raw(text, close=True))
    (error,) = asked(row(provider.url))
    assert [code(error), len(provider.requests)] == ["PROTOCOL", 1]


LENGTH = f"Content-Length: {len(RIGHT_BODY)}\r\n"


@pytest.mark.fault("F26")
@pytest.mark.parametrize(
    "text",
    [
        CHUNKED.replace("\r\n", f"\r\n{LENGTH}", 1) + f"{len(RIGHT_BODY):x}\r\n{RIGHT_BODY}\r\n0\r\n\r\n",
        f"HTTP/1.1 200 OK\r\n{LENGTH}Content-Length: 5\r\n\r\n{RIGHT_BODY}",
        f"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{RIGHT_BODY}",
        f"HTTP/1.1 200 OK\r\nContent-Length: +{len(RIGHT_BODY)}\r\n\r\n{RIGHT_BODY}",
        f"HTTP/1.1 200 OK\r\nContent-Length: {'9' * 30}\r\n\r\n{RIGHT_BODY}",
    ],
    ids=["both", "two lengths", "negative", "signed", "endless"],
)
def test_f26_a_length_that_can_be_read_in_two_ways_is_an_error(provider: Provider, text: str) -> None:
    """Ambiguous framing is refused, and the connection with it."""
    provider.script = first(raw(text))
    error, right = asked(row(provider.url), row(provider.url))
    assert [code(error), code(right)] == ["PROTOCOL", "OK"]
    assert [request.connection for request in provider.requests] == [1, 2]


FORGED = RIGHT_REPLY.replace('"index": 0', '"index": 3')
"""An answer as long as the right one, and wrong."""


@pytest.mark.fault("F26")
@pytest.mark.parametrize("extra", [FORGED, "junk", "\r\n" + FORGED])
@pytest.mark.parametrize("late", [False, True])
def test_f26_bytes_behind_an_answer_are_nobodys_answer(provider: Provider, extra: str, late: bool) -> None:
    """A second answer, sent with the first or when the connection is idle, is never taken for the next row's."""
    if late:
        provider.script = first(raw(RIGHT_REPLY, afterwards=extra.encode()))
    else:
        provider.script = first(raw(RIGHT_REPLY + extra))

    async def run() -> list[str]:
        reranker = Reranker(settings())
        results = [code(await outcome(reranker, row(provider.url)))]
        async with asyncio.timeout(HANG_S):
            while provider.in_flight:  # noqa: ASYNC110 - it is in another thread
                await asyncio.sleep(0.01)
        for _ in range(3):
            await asyncio.sleep(0)  # what the server has sent is read by the loop
        results += [code(await outcome(reranker, row(provider.url))) for _ in range(2)]
        await reranker.aclose()
        return results

    seen, *behind = asyncio.run(run())
    assert seen in ("OK", "PROTOCOL")  # bytes that came with the answer make it suspect
    assert behind == ["OK", "OK"]
    assert provider.requests[1].connection == 2


@pytest.mark.fault("F27")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["/elsewhere", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd"])
def test_f27_a_redirect_is_not_followed(provider: Provider, dialled: list[str], status: int, to: str) -> None:
    """One request, one connection, and an error that does not repeat the place."""
    provider.script = always(Reply(status, {}, headers={"Location": to, "Refresh": f"0; url={to}"}))
    dialled.clear()
    (error,) = asked(row(provider.url))
    assert [code(error), len(provider.requests), dialled] == ["REDIRECT", 1, ["127.0.0.1"]]
    assert to not in str(error)


# --- the answer's meaning


@pytest.mark.parametrize(
    "scored",
    [
        pytest.param([(b"0", b"1")], marks=pytest.mark.fault("F31")),
        pytest.param([], marks=pytest.mark.fault("F31")),
        pytest.param([(b"0", b"1"), (b"0", b"1"), (b"2", b"1")], marks=pytest.mark.fault("F33")),
        *[
            pytest.param([(index, b"1"), (b"0", b"1"), (b"2", b"1")], marks=pytest.mark.fault("F34"))
            for index in (b"4", b"-1", b"2147483648", b"1.5", b'"1"', b"true", b"null", b"[]", b"1e300")
        ],
        *[
            pytest.param([(b"1", score), (b"0", b"1"), (b"2", b"1")], marks=pytest.mark.fault("F35"))
            for score in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"null", b"true", b"[]", b"{}", b'""')
        ],
        pytest.param([(b"0", b'"0.9"'), (b"2", b"1")], marks=pytest.mark.fault("F36")),
        pytest.param([(b"0", b"1e39"), (b"2", b"1")], marks=pytest.mark.fault("F37")),
        pytest.param([(b"0", b"-1e39"), (b"2", b"1")], marks=pytest.mark.fault("F37")),
    ],
    ids=lambda scored: b" ".join(b"=".join(pair) for pair in scored).decode() or "none",
)
def test_an_answer_that_cannot_be_trusted_is_an_error(provider: Provider, scored: list[tuple[bytes, bytes]]) -> None:
    """Too few items, repeated or foreign positions, and scores that are no finite Float32 fail the row at once."""
    provider.script = always(Reply(body=items(*scored)))
    (error,) = asked(row(provider.url))
    assert [code(error), len(provider.requests)] == ["PROTOCOL", 1]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"results":[{"relevance_score":1},{"index":2,"relevance_score":1}]}', marks=[]),
        pytest.param(b'{"results":[{"index":0},{"index":2,"relevance_score":1}]}', marks=pytest.mark.fault("F35")),
    ],
    ids=["no index", "no score"],
)
@pytest.mark.fault("F34")
def test_f34_an_item_without_position_or_score_is_an_error(provider: Provider, body: bytes) -> None:
    """What is missing is not made up."""
    provider.script = always(Reply(body=body))
    (error,) = asked(row(provider.url))
    assert code(error) == "PROTOCOL"


@pytest.mark.parametrize(
    ("scored", "ranking"),
    [
        pytest.param(
            [(b"3", b"1"), (b"1", b"4"), (b"0", b"2"), (b"2", b"3")],
            [(1, 4.0), (2, 3.0)],
            marks=pytest.mark.fault("F32", "F38"),
        ),
        pytest.param([(b"1.0", b"1"), (b"0", b"2")], [(0, 2.0), (1, 1.0)], marks=pytest.mark.fault("F34")),
        pytest.param([(b"0", b"1e-50"), (b"1", b"-0.0")], [(0, 0.0), (1, 0.0)], marks=pytest.mark.fault("F37")),
        pytest.param([(b"3", b"-1"), (b"1", b"-2")], [(3, -1.0), (1, -2.0)], marks=pytest.mark.fault("F37")),
        pytest.param([(b"0", b"3e38"), (b"1", b"1e-40")], [(0, float32(3e38)), (1, float32(1e-40))],
                     marks=pytest.mark.fault("F37")),
        pytest.param([(b"2", b"0.1"), (b"1", b"0.10000000001")], [(1, float32(0.1)), (2, float32(0.1))],
                     marks=pytest.mark.fault("F38")),
    ],
    ids=["more than asked", "1.0 is a position", "too small for Float32", "negative", "extremes", "ties by position"],
)  # fmt: skip
def test_an_answer_is_sorted_cut_and_kept_as_float32(
    provider: Provider, scored: list[tuple[bytes, bytes]], ranking: list[tuple[int, float]]
) -> None:
    """Best first, ties by position, no negative zero, however the provider ordered and however many it sent."""
    provider.script = always(Reply(body=items(*scored)))
    results = asked(row(provider.url), row(provider.url))
    assert results == [ranking, ranking]
    assert "-0.0" not in repr(results)


@pytest.mark.fault("F39", "F40")
def test_f39_an_echoed_document_and_unknown_members_are_ignored(provider: Provider) -> None:
    """The position counts, whatever text comes beside it."""
    echoes: list[object] = ["another text", {"text": "another text"}]
    results = [
        {"index": i, "relevance_score": score, "document": echo, "new": {"a": [1]}}
        for (i, score), echo in zip(RIGHT, echoes, strict=True)
    ]
    provider.script = always(Reply(json={"results": results, "usage": {}, "error": None, "warnings": ["x"]}))
    assert [code(result) for result in asked(row(provider.url))] == ["OK"]


# --- through SQL


@pytest.mark.fault("F2", "F4", "F12", "F17", "F19", "F21", "F35")
@pytest.mark.parametrize("function", ["Rerank", "RerankRowBinary"])
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(401, {"message": f"wrong {KEY}"}), "Rerank: AUTH: Cohere answered 401 (wrong ***). Check api_key"),
        (Reply(404, {"message": "no such model"}), "Rerank: NOT_FOUND: Cohere answered 404 (no such model)."),
        (Reply(500, {"message": "down"}, headers=SOON), "Rerank: PROVIDER: Cohere answered 500 (down)."),
        (Reply(never=True), "Rerank: TIMEOUT: Cohere did not answer within 0.5 s."),
        (answer(reset_after=90), "Rerank: CONNECT: 127.0.0.1:"),
        (Reply(body=b"<html>"), "Rerank: PROTOCOL: Cohere answered 200 with an HTML page."),
        (Reply(body=items((b"0", b"1"), (b"2", b"1e999"))), "Rerank: PROTOCOL: Cohere answered 200 with no valid"),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_query_fails_with_one_sentence_and_the_next_is_right(
    sql: Sql, provider: Provider, function: str, reply: Reply, expected: str
) -> None:
    """Of many rows one is answered wrongly: the query says so, and the same worker answers the next query."""

    def script(request: Request) -> Reply:
        return reply if request.json["query"] == "one 13" else cohere(request)

    provider.script = script
    documents = ", ".join(f"'{document}'" for document in DOCUMENTS)
    query = (
        f"SELECT {function}('one ' || toString(number), [{documents}], 2, 'Cohere', '{provider.url}', '{KEY}', "
        "'{\"timeout_s\":0.5}') AS ranked FROM numbers(10, 20)"
    )
    error = sql.error(query)
    assert error.startswith(expected), error
    assert KEY not in error
    provider.script = cohere
    right = [[(0, DOCUMENTS[0], 0.5), (2, DOCUMENTS[2], 0.5)]] * 20
    assert [ranked for (ranked,) in sql.rows(query)] == right


@pytest.mark.fault("F63")
def test_f63_a_constant_call_is_one_request_and_explain_none(sql: Sql, provider: Provider) -> None:
    """A query whose arguments are all constant asks once per textual use; EXPLAIN of a query over rows asks nothing."""
    call = f"Rerank('one', ['one', 'two'], 1, 'Cohere', '{provider.url}', 'k', '')"
    assert sql.value(f"SELECT {call} AS r") == [(0, "one", 1.0)]
    assert len(provider.requests) == 1
    provider.reset()
    sql.rows(f"EXPLAIN SELECT {call.replace(chr(39) + 'one' + chr(39), 'toString(number)', 1)} FROM numbers(3)")
    assert not provider.requests
    sql.rows(f"SELECT {call} FROM numbers(1000) LIMIT 5")
    assert len(provider.requests) == 1

"""What one attempt is to admission, usage line and counters: each outcome counts once, by what the transport says."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from asking import DOCUMENTS, KEY, RIGHT_BODY, row, settings
from clickhouse_rerank.admission import endpoint_admission
from clickhouse_rerank.admission.deadline import Deadline
from clickhouse_rerank.client.client import Client
from clickhouse_rerank.errors import CallerError, ProviderFailedError, RerankError
from clickhouse_rerank.network.transport import Response
from clickhouse_rerank.request import plan
from clickhouse_rerank.request.endpoint import resolve
from clickhouse_rerank.usage.recorder import UsageLine
from clock import Clock
from scripted_transport import ScriptedTransport

URL = "http://127.0.0.1:9/v1/rerank"
Reply = Callable[[], Response]
"""What the transport does with a request: return, or raise."""


def in_turn(*script: Reply | None) -> ScriptedTransport:
    """Does in turn what a script says, and the last of it again; None is never answered."""
    steps = list(script)

    async def answer(_: str) -> Response:
        reply = steps.pop(0) if len(steps) > 1 else steps[0]
        if reply is None:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")
        return reply()

    return ScriptedTransport(answer)


class Asking:
    """One client, one endpoint and one usage line."""

    def __init__(self, *script: Reply | None) -> None:
        within = settings()
        self.transport = in_turn(*script)
        self.client = Client(within, self.transport)
        self.line = UsageLine()
        self.endpoint = resolve("Cohere", URL, KEY, "", within)
        asked = row(URL)
        call = plan.call(asked, range(len(DOCUMENTS)), self.endpoint)
        (self._part,) = plan.parts(call, self.endpoint)

    async def ask(self, deadline: Deadline | None = None) -> str:
        """The code of the error, or "OK"."""
        try:
            await self.client.scores(self._part, self.endpoint, deadline or Deadline(5.0), self.line)
        except RerankError as error:
            return error.code
        return "OK"

    @property
    def counted(self) -> dict[str, int]:
        """What the usage line and the counters say."""
        line, counts = self.line, self.client.counts
        names = ("attempts", "answered", "rate_limited")
        return {name: getattr(line, name) for name in names} | {"requests": counts.requests, "errors": counts.errors}


def response(status: int = 200, sent: int = 1, body: str = RIGHT_BODY) -> Reply:
    return lambda: Response(status, {"retry-after-ms": "0"}, body.encode(), sent)


def broken(code: str = "CONNECT", sent: int = 1, *, retryable: bool = True) -> Reply:
    def fail() -> Response:
        raise ProviderFailedError(code, "It broke.", retryable=retryable, wait_s=0.0, sent=sent)

    return fail


def blocked() -> Response:
    raise CallerError("BLOCKED", "Not there.")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Of the circuit breaker; all of a surplus is withheld."""
    clock = Clock()
    fixed = partial(endpoint_admission.EndpointAdmission, clock=clock, chance=lambda: 0.0)
    monkeypatch.setattr(endpoint_admission, "EndpointAdmission", fixed)
    return clock


OUTCOMES = {
    "answered": ([response()], "OK", (1, 1, 0, 1, 0)),
    "sent twice, answered": ([response(sent=2)], "OK", (2, 1, 0, 2, 0)),
    "sent twice, refused": ([response(400, sent=2)], "BAD_REQUEST", (2, 0, 0, 2, 1)),
    "sent twice, broken twice, answered": ([broken(sent=2), response()], "OK", (3, 1, 0, 3, 1)),
    "sent twice, no scores": ([response(sent=2, body="{}")], "PROTOCOL", (2, 0, 0, 2, 1)),
    "wrong key": ([response(401)], "AUTH", (1, 0, 0, 1, 1)),
    "rate limited, answered": ([response(429), response()], "OK", (2, 1, 1, 2, 1)),
    "broken three times": ([broken()], "CONNECT", (3, 0, 0, 3, 3)),
    "no descriptor, answered": ([broken("RESOURCE"), response()], "OK", (2, 1, 0, 2, 1)),
    "blocked": ([blocked], "BLOCKED", (0, 0, 0, 0, 1)),
    "broken, then blocked": ([broken(), blocked], "BLOCKED", (1, 0, 0, 1, 2)),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_each_outcome_counts_once(name: str) -> None:
    """Attempts and requests are what the transport sent, second sendings included."""
    script, expected, counted = OUTCOMES[name]
    asking = Asking(*script)
    assert asyncio.run(asking.ask()) == expected
    assert tuple(asking.counted.values()) == counted


def test_a_request_that_is_not_answered_in_time_failed_once() -> None:
    """It is neither withdrawn nor counted twice: a failing endpoint is then asked once a second."""

    async def run() -> list[str]:
        codes = [await asking.ask(Deadline(0.001)) for _ in range(4)]
        assert len(asking.transport.requests) == 2
        return codes

    asking = Asking(None)
    assert asyncio.run(run()) == ["TIMEOUT"] * 4
    assert tuple(asking.counted.values()) == (2, 0, 0, 2, 2)


def test_a_request_that_is_cancelled_was_sent_and_did_not_fail() -> None:
    """Nothing is learned of the endpoint."""

    async def run() -> None:
        for number in range(20):
            asked = asyncio.create_task(asking.ask())
            await asyncio.sleep(0)  # the task runs until the transport has the request
            assert len(asking.transport.requests) == number + 1
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    asking = Asking(None)
    asyncio.run(run())
    assert tuple(asking.counted.values()) == (20, 0, 0, 20, 0)
    assert len(asking.transport.requests) == 20


def test_a_blocked_request_counts_neither_as_asked_nor_as_accepted(clock: Clock) -> None:
    """An endpoint that fails stays throttled, though the request that was to probe it was never sent."""

    async def run() -> list[str]:
        while asking.client._admissions.of(URL, KEY, asking.endpoint.host).allows():
            await asking.ask()
        clock.now += 1
        asking.transport.script = in_turn(blocked, failed).script
        asking.transport.requests.clear()
        return [await asking.ask() for _ in range(6)]

    failed = broken(retryable=False)
    asking = Asking(failed)
    assert asyncio.run(run()) == ["BLOCKED"] + ["CONNECT"] * 5
    assert len(asking.transport.requests) == 2, "the blocked one, and one probe instead of it"


def test_an_error_holds_nothing_once_it_is_dropped() -> None:
    """An error in a circle with the frames that it came through would keep all texts until garbage is collected."""

    async def run() -> list[weakref.ref[Deadline]]:
        seen = []
        for reply in (response(400), response(429), broken(retryable=False), blocked, response(body="{}"), None):
            asking = Asking(reply)
            deadline = Deadline(0.001 if reply is None else 5.0, Deadline(0.0))
            seen.append(weakref.ref(deadline))
            assert await asking.ask(deadline) != "OK"
            del deadline
        return seen

    gc.collect()
    gc.disable()
    try:
        assert [deadline() for deadline in asyncio.run(run())] == [None] * 6
    finally:
        gc.enable()

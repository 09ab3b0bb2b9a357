"""A slow request is sent a second time: which answer counts, what it may cost, and that nothing of it is left over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

import engine_bytes
from asking import DOCUMENTS, HANG_S, KEY, RIGHT_BODY, row, settings
from clickhouse_rerank.admission.deadline import Deadline
from clickhouse_rerank.admission.hedge import HedgeBudget
from clickhouse_rerank.admission.quota import Quota
from clickhouse_rerank.admission.retry_budget import RetryBudget
from clickhouse_rerank.client.client import Client
from clickhouse_rerank.config.settings import Settings, parse
from clickhouse_rerank.errors import ProviderFailedError, RerankError
from clickhouse_rerank.network.transport import Response
from clickhouse_rerank.request import plan
from clickhouse_rerank.request.endpoint import Endpoint, resolve
from clickhouse_rerank.usage.recorder import UsageLine
from conftest import Worker
from provider import Provider, Reply, Request, cohere
from scripted_transport import ScriptedTransport

URL = "http://127.0.0.1:9/v1/rerank"
NEVER_MS = 1_000_000_000
Step = Callable[[], Awaitable[Response]]


async def right() -> Response:
    return Response(200, {}, RIGHT_BODY.encode())


async def refused() -> Response:
    return Response(429, {"retry-after-ms": "0"}, b"{}")


async def broken() -> Response:
    raise ProviderFailedError("CONNECT", "It broke.", retryable=False)


async def broken_for_now() -> Response:
    raise ProviderFailedError("CONNECT", "It broke.", retryable=True, wait_s=0.0)


async def unreadable() -> Response:
    return Response(200, {}, b"{}")


class Hedging:
    """A client, one endpoint whose requests are hedged after a millisecond, and one usage line."""

    def __init__(self, *, others: str = '{"hedge_ms":1}', within: Settings | None = None, **limits: int) -> None:
        self._within = within or settings(**limits)
        self.script: Sequence[Step] = ()
        self.cancelled = 0
        self.most_in_flight = self._in_flight = 0
        self.transport = ScriptedTransport(self._answer)
        self.client = Client(self._within, self.transport)
        self.line = UsageLine()
        self.endpoint = self.resolved(others)
        self.admission = self.client._admissions.of(URL, KEY, self.endpoint.host)

    def resolved(self, others: str) -> Endpoint:
        """The endpoint, by the credential of the settings if there is one."""
        if self._within.credentials:
            return resolve("Cohere", "", "cred:few", others, self._within)
        return resolve("Cohere", URL, KEY, others, self._within)

    async def _answer(self, _: str) -> Response:
        step = self.script[len(self.transport.requests) - 1]
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            return await step()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self._in_flight -= 1

    async def prepare(self, *script: Step) -> None:
        """Have 20 requests answered, which pay for a hedge to come; then do what the script says."""
        fast = self.resolved(json.dumps({"hedge_ms": NEVER_MS}))
        self.script = [right] * 20
        for _ in range(20):
            assert await self.ask(fast, UsageLine()) == "OK"
        self.transport.requests.clear()
        self.script = script

    async def ask(
        self, endpoint: Endpoint | None = None, line: UsageLine | None = None, deadline: Deadline | None = None
    ) -> str:
        """The code of the error, or "OK"."""
        asked = row(URL)
        endpoint = endpoint or self.endpoint
        (part,) = plan.parts(plan.call(asked, range(len(DOCUMENTS)), endpoint), endpoint)
        deadline = deadline or Deadline(5.0, Deadline(5.0))
        try:
            async with asyncio.timeout(HANG_S):
                await self.client.scores(part, endpoint, deadline, line or self.line)
        except RerankError as error:
            return error.code
        return "OK"

    @property
    def counted(self) -> tuple[int, int, int]:
        """Attempts, those of them that were hedges, and answers, by the usage line."""
        return self.line.attempts, self.line.hedged, self.line.answered

    def check_nothing_is_left(self) -> None:
        """No task, no request, no place."""
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert self._in_flight == 0
        assert self.admission.is_idle


async def silent() -> Response:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def after(event: asyncio.Event, step: Step) -> Step:
    """The step, once the event is set."""

    async def wait() -> Response:
        await event.wait()
        return await step()

    return wait


def late(event: asyncio.Event, step: Step) -> Step:
    """The step, when all that follows from the event at once has happened."""

    async def wait() -> Response:
        await event.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        return await step()

    return wait


def setting(event: asyncio.Event, step: Step) -> Step:
    """The step, and the event as soon as it begins."""

    async def told() -> Response:
        event.set()
        return await step()

    return told


def test_the_second_sending_answers_and_the_first_is_cancelled() -> None:
    """Both count as attempts, and the same bytes went out twice."""

    async def run() -> None:
        hedging = Hedging()
        await hedging.prepare(silent, right)
        assert await hedging.ask() == "OK"
        hedging.check_nothing_is_left()
        first, second = hedging.transport.requests
        assert first == second
        assert hedging.cancelled == 1
        assert hedging.counted == (2, 1, 1)
        assert hedging.client.counts.errors == 0

    asyncio.run(run())


def test_the_first_sending_answers_and_the_second_is_cancelled() -> None:
    """As with the roles reversed."""

    async def run() -> None:
        hedging = Hedging()
        again = asyncio.Event()
        await hedging.prepare(after(again, right), setting(again, silent))
        assert await hedging.ask() == "OK"
        hedging.check_nothing_is_left()
        assert (hedging.cancelled, hedging.counted) == (1, (2, 1, 1))

    asyncio.run(run())


@pytest.mark.parametrize("failure", [broken, broken_for_now, refused, unreadable])
def test_an_error_of_one_waits_for_the_other(failure: Step) -> None:
    """Whichever of the two fails, by whatever error: the row has its answer, and none is sent a third time."""

    async def run() -> None:
        hedging = Hedging()
        again = asyncio.Event()
        await hedging.prepare(after(again, failure), setting(again, late(again, right)))
        assert await hedging.ask() == "OK"
        hedging.check_nothing_is_left()
        assert (hedging.cancelled, hedging.counted) == (0, (2, 1, 1))

        hedging = Hedging()
        failed = asyncio.Event()
        await hedging.prepare(late(failed, right), setting(failed, failure))
        assert await hedging.ask() == "OK"
        hedging.check_nothing_is_left()
        assert (hedging.cancelled, hedging.counted) == (0, (2, 1, 1))
        assert hedging.line.rate_limited == (failure is refused)

    asyncio.run(run())


def test_if_both_fail_the_first_decides() -> None:
    """Its error is the row's, and its kind says whether the request is retried."""

    async def run() -> None:
        for second_fails_first in (False, True):
            hedging = Hedging()
            sent, failed = asyncio.Event(), asyncio.Event()
            await hedging.prepare(
                after(failed if second_fails_first else sent, broken),
                setting(failed if second_fails_first else sent, unreadable),
            )
            assert await hedging.ask() == "CONNECT"
            hedging.check_nothing_is_left()
            assert (hedging.cancelled, hedging.counted) == (0, (2, 1, 0))
            assert hedging.client.counts.errors == 2

        hedging = Hedging()
        sent = asyncio.Event()
        await hedging.prepare(after(sent, broken_for_now), setting(sent, unreadable), right)
        assert await hedging.ask() == "OK"
        hedging.check_nothing_is_left()
        assert hedging.counted == (3, 1, 1)

    asyncio.run(run())


def test_hedges_are_one_in_twenty_and_paid_from_the_retry_budget_too() -> None:
    """Never more, in no part of a thousand; what is saved up is bounded; a spent retry budget pays for none."""
    retries = RetryBudget()
    budget = HedgeBudget(retries)
    hedges = 0
    for answered in range(1000):
        hedges += budget.take()
        assert hedges <= answered / 20
        budget.answered()
        retries.answered()
    assert hedges == 49
    for _ in range(10_000):
        budget.answered()
    retries = RetryBudget()
    budget = HedgeBudget(retries)
    for _ in range(10_000):
        budget.answered()
    assert sum(budget.take() for _ in range(1000)) == 20
    for _ in range(100):
        retries.answered()
    assert not budget.take(), "no more than twenty hedges are saved up"
    while retries.take():
        pass
    for _ in range(10_000):
        budget.answered()
    assert not budget.take(), "retries are spent"
    for _ in range(5):
        retries.answered()
    assert [budget.take(), budget.take()] == [True, False]


def test_a_thousand_slow_requests_get_at_most_fifty_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is slow until its hedge is paid or refused."""
    decided = asyncio.Event()
    paid: list[bool] = []
    take = HedgeBudget.take

    def noted(budget: HedgeBudget) -> bool:
        paid.append(take(budget))
        if not paid[-1]:
            decided.set()
        return paid[-1]

    async def until_decided() -> Response:
        await decided.wait()
        return await right()

    async def answer() -> Response:
        # A hedge answers; a first sending does when it is known that it gets none.
        return await (right() if paid and paid[-1] else until_decided())

    async def run() -> None:
        hedging = Hedging()
        hedging.script = [answer] * 1060
        for _ in range(1000):
            decided.clear()
            paid.clear()
            assert await hedging.ask() == "OK"
        hedging.check_nothing_is_left()
        assert hedging.counted == (1049, 49, 1000)
        assert len(hedging.transport.requests) == 1049

    monkeypatch.setattr(HedgeBudget, "take", noted)
    asyncio.run(run())


def test_a_spent_quota_sends_no_hedge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row lives by its first sending, and nobody is told of an error."""
    decided = asyncio.Event()
    spend = Quota.spend

    def noted(quota: Quota, documents: int) -> None:
        try:
            spend(quota, documents)
        except ProviderFailedError:
            decided.set()
            raise

    async def run() -> None:
        within = parse(
            {
                "credentials": {
                    "few": {"provider": "Cohere", "api_key": KEY, "base_url": URL, "requests_per_minute": 21}
                },
                "network": {"allow_private": ["127.0.0.1:9"]},
                "limits": {"counters": str(tmp_path)},
            },
            {},
            where="config.toml",
        )
        hedging = Hedging(within=within)
        await hedging.prepare(after(decided, right), right)
        assert await hedging.ask() == "OK"
        assert decided.is_set()
        hedging.check_nothing_is_left()
        assert len(hedging.transport.requests) == 1
        assert hedging.counted == (1, 0, 1)
        assert hedging.client.counts.errors == 0

    monkeypatch.setattr(Quota, "spend", noted)
    asyncio.run(run())


def test_a_hedge_is_signed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature has a date, and a key may have been rotated."""
    signed = iter(range(100))
    monkeypatch.setattr(Endpoint, "signed", lambda self, headers, body: {"signature": str(next(signed))})

    async def run() -> None:
        hedging = Hedging()
        await hedging.prepare(silent, right)
        assert await hedging.ask() == "OK"
        assert [headers["signature"] for _, headers, _ in hedging.transport.requests] == ["20", "21"]

    asyncio.run(run())


def test_a_row_that_is_cancelled_cancels_both() -> None:
    """Nothing is left, and nothing failed."""

    async def run() -> None:
        hedging = Hedging()
        again = asyncio.Event()
        await hedging.prepare(silent, setting(again, silent))
        asked = asyncio.create_task(hedging.ask())
        await again.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert asked.cancelled()
        hedging.check_nothing_is_left()
        assert (hedging.cancelled, hedging.counted) == (2, (2, 1, 0))
        assert hedging.client.counts.errors == 0

    asyncio.run(run())


def test_the_deadline_holds_for_both() -> None:
    """Neither is cancelled by the other: each fails at the deadline of the row."""

    async def run() -> None:
        hedging = Hedging()
        await hedging.prepare(silent, silent)
        assert await hedging.ask(deadline=Deadline(0.5)) == "TIMEOUT"
        hedging.check_nothing_is_left()
        assert (hedging.cancelled, hedging.counted) == (2, (2, 1, 0))

    asyncio.run(run())


async def turns(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds."""
    for _ in range(1_000_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


def test_a_hedge_gets_the_next_place_and_no_more_are_in_flight_than_allowed() -> None:
    """It goes before rows that came later, which wait in line."""

    async def run() -> None:
        hedging = Hedging(max_in_flight=2)
        in_line = hedging.admission._queue._waiting
        plain = hedging.resolved("")

        async def when_the_hedge_waits() -> Response:
            await turns(lambda: len(in_line) == 4)
            return await right()

        async def noted() -> Response:
            hedged.append(hedging.line.hedged)
            return await right()

        hedged: list[int] = []
        await hedging.prepare(silent, when_the_hedge_waits, *[noted] * 4)
        slow = asyncio.create_task(hedging.ask())
        await turns(lambda: len(hedging.transport.requests) == 1)
        others = UsageLine()
        rest = [asyncio.create_task(hedging.ask(plain, others)) for _ in range(4)]
        await slow
        assert hedging.counted == (2, 1, 1)
        assert await asyncio.gather(*rest) == ["OK"] * 4
        assert hedged[0] == 1, "the third request is the hedge"
        assert hedging.most_in_flight == 2
        assert len(hedging.transport.requests) == 6
        hedging.check_nothing_is_left()

    asyncio.run(run())


def test_a_hedge_without_a_place_does_not_hold_a_row_that_failed() -> None:
    """It leaves the line, and the retry rules decide at once. The next attempt's hedge waits in the same turn."""

    async def run() -> None:
        hedging = Hedging(max_in_flight=1)
        queue = hedging.admission._queue
        seen: list[int] = []

        async def fail_when_the_hedge_waits() -> Response:
            seen.append(len(queue._waiting))
            await turns(lambda: len(queue._waiting) > seen[-1])
            return await broken_for_now()

        await hedging.prepare(fail_when_the_hedge_waits, fail_when_the_hedge_waits, right)
        assert await hedging.ask() == "OK"
        assert seen == [0, 1], "the second hedge has the ticket of the first, which is still in the heap"
        hedging.check_nothing_is_left()
        assert hedging.counted == (3, 0, 1)

    asyncio.run(run())


def test_without_hedge_ms_nothing_is_sent_twice_and_no_task_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of a request is the one it always had."""

    async def run() -> None:
        hedging = Hedging(others="{}")
        await hedging.prepare(right)
        monkeypatch.setattr(asyncio, "create_task", None)
        assert await hedging.ask() == "OK"
        assert hedging.counted == (1, 0, 1)

    asyncio.run(run())


def test_a_worker_hedges(worker: Callable[..., Worker], provider: Provider, tmp_path: Path) -> None:
    """Over real connections: the slow one is closed, and the usage log has both. A credential may say so for all."""
    config = tmp_path / "config.toml"
    config.write_text(
        f'[credentials.prod]\nprovider = "Cohere"\napi_key = "{KEY}"\nbase_url = "{provider.url}"\n'
        f"[credentials.prod.others]\nhedge_ms = 50\n[cache]\nmemory_s = 0\n"
        f'[network]\nallow_private = ["127.0.0.1"]\n[usage]\npath = "{tmp_path}/usage.jsonl"\n'
    )
    config.chmod(0o600)
    one = worker(CLICKHOUSE_RERANK_CONFIG=str(config))
    fine = [row("", key="cred:prod", query=f"one zebra {number}") for number in range(40)]
    one.send(engine_bytes.chunk(fine, "JSONEachRow"))
    expected = one.lines(40)
    before = len(provider.requests)
    slow: list[Request] = []

    def script(request: Request) -> Reply:
        slow.append(request)
        return Reply(never=True) if len(slow) == 1 else cohere(request)

    provider.script = script
    while provider.gone.acquire(blocking=False):
        pass
    one.send(engine_bytes.chunk([row("", key="cred:prod", query="one zebra 0")], "JSONEachRow"))
    assert one.lines(1) == expected[:1]
    assert provider.gone.acquire(timeout=10), "the connection of the slow request was kept"
    first, second = provider.requests[before:]
    assert first.body == second.body and first.connection != second.connection
    line = json.loads((tmp_path / "usage.jsonl").read_text("utf-8").splitlines()[-1])
    assert (line["attempts"], line["hedged"], line["answered"], line["status"]) == (2, 1, 1, "ok")

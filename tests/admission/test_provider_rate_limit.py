"""A provider that allows so many requests a minute, however it counts them, is used to the full and no row fails.

Minutes pass in a moment: the loop's clock moves to the next timer instead of waiting for it, and the provider is a
function of that clock.
"""

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from asking import row
from clickhouse_rerank.admission import endpoint_admission
from clickhouse_rerank.config.settings import Limits, Network, Settings
from clickhouse_rerank.config.tables import CacheSettings
from clickhouse_rerank.errors import RerankError
from clickhouse_rerank.network.transport import Response
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.types import Ranking
from scripted_transport import Script, ScriptedTransport
from skipping_loop import Loop

LATENCY_S = 0.1
REFUSAL_S = 0.01
AT_ONCE = 256
Limiter = Callable[[float], float]
"""Time -> 0 for a request that is let in then, or the seconds until one would be."""


def bucket(per_minute: int, burst_s: float) -> Limiter:
    """Fills steadily and holds what comes in `burst_s`."""
    rate = per_minute / 60
    tokens, filled_at = rate * burst_s, 1000.0

    def limit(now: float) -> float:
        nonlocal tokens, filled_at
        tokens, filled_at = min(rate * burst_s, tokens + (now - filled_at) * rate), now
        if tokens < 1 - 1e-9:
            return (1 - tokens) / rate
        tokens -= 1
        return 0.0

    return limit


def fixed(per_minute: int, window_s: float) -> Limiter:
    """Counts from the beginning of each window."""
    used: dict[int, int] = {}

    def limit(now: float) -> float:
        window = int(now // window_s)
        used[window] = used.get(window, 0) + 1
        return 0.0 if used[window] <= per_minute * window_s / 60 else window_s - now % window_s

    return limit


def sliding(per_minute: int, window_s: float) -> Limiter:
    """Counts those of the last `window_s`."""
    times: deque[float] = deque()

    def limit(now: float) -> float:
        while times and times[0] <= now - window_s:
            times.popleft()
        if len(times) >= per_minute * window_s / 60:
            return times[0] + window_s - now
        times.append(now)
        return 0.0

    return limit


class Limited:
    """A provider behind a limiter."""

    def __init__(self, limit: Limiter, *, hints: bool) -> None:
        self._limit = limit
        self._hints = hints
        self._chance = random.Random(1)
        self.requests = 0

    async def __call__(self, _: str) -> Response:
        self.requests += 1
        wait_s = self._limit(asyncio.get_running_loop().time())
        if wait_s:
            await asyncio.sleep(REFUSAL_S)
            hint = {"retry-after": str(math.ceil(wait_s))} if self._hints else {}
            return Response(429, hint, b'{"message":"slow down"}')
        await asyncio.sleep(LATENCY_S * self._chance.uniform(0.7, 1.3))
        return Response(200, {}, b'{"results":[{"index":0,"relevance_score":0.5}]}')


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    """A loop whose time is everybody's."""
    loop = Loop()
    monkeypatch.setattr(time, "monotonic", loop.time)
    seeded = partial(endpoint_admission.EndpointAdmission, clock=loop.time, chance=random.Random(1).random)
    monkeypatch.setattr(endpoint_admission, "EndpointAdmission", seeded)
    yield loop
    loop.close()


async def asked(
    provider: Script, rows: int, url: str = "http://127.0.0.1:9/v1/rerank", others: Mapping[str, Any] | None = None
) -> list[tuple[Ranking | Exception, float]]:
    """What becomes of so many rows, and after how many seconds."""
    alone = Limits(counters="/nowhere/to/count")
    settings = Settings(network=Network(allow_loopback=True), limits=alone, cache=CacheSettings(memory_s=0))
    reranker = Reranker(settings, ScriptedTransport(provider))
    room = asyncio.Semaphore(AT_ONCE)

    clock = asyncio.get_running_loop().time
    began = clock()

    async def one(number: int) -> tuple[Ranking | Exception, float]:
        async with room:
            try:
                asking = row(url, query=f"q {number}", documents=["a"], others=dict(others or {}))
                return await reranker.rank(asking), clock() - began
            except RerankError as error:
                return error, clock() - began

    return await asyncio.gather(*map(one, range(rows)))


LIMITERS = {
    "bucket of a second": (bucket, 1.0, 6000),
    "bucket of ten seconds": (bucket, 10.0, 6000),
    "bucket of a minute": (bucket, 60.0, 1200),
    "fixed minute": (fixed, 60.0, 1200),
    "sliding minute": (sliding, 60.0, 1200),
    "sliding ten seconds": (sliding, 10.0, 1200),
    "few a second": (bucket, 3.0, 600),
}


@pytest.mark.parametrize("hints", [True, False], ids=["Retry-After", "no hint"])
@pytest.mark.parametrize("name", LIMITERS)
def test_a_limit_is_used_to_the_full_and_no_row_fails(loop: Loop, name: str, hints: bool) -> None:
    """Nothing is configured; 5,000 rows take no longer than 95 % of the allowed rate would, with few requests more."""
    make, seconds, per_minute = LIMITERS[name]
    rows = 5000
    provider = Limited(make(per_minute, seconds), hints=hints)
    results, times = zip(*loop.run_until_complete(asked(provider, rows)), strict=True)
    assert all(result == [(0, 0.5)] for result in results)
    assert rows / max(times) * 60 >= 0.95 * per_minute
    assert provider.requests <= 1.6 * rows


def test_who_answers_nobody_is_not_waited_for(loop: Loop) -> None:
    """Every request is refused from the first on: a query fails within seconds, in the provider's words."""
    provider = Limited(lambda _: 1.0, hints=False)
    results, times = zip(*loop.run_until_complete(asked(provider, AT_ONCE)), strict=True)
    assert all("RATE_LIMIT" in str(result) and "slow down" in str(result) for result in results)
    assert min(times) <= 10
    assert provider.requests <= 3 * AT_ONCE


class Spent:
    """A provider whose quota is spent until tomorrow, and another beside it that answers."""

    def __init__(self) -> None:
        self.refused = 0

    async def __call__(self, url: str) -> Response:
        await asyncio.sleep(REFUSAL_S)
        if "/spent/" in url:
            self.refused += 1
            return Response(429, {"retry-after": "3600"}, b'{"message":"quota"}')
        return Response(200, {}, b'{"results":[{"index":0,"relevance_score":0.5}]}')


@pytest.mark.parametrize("others", [{"fallback": [{"provider": "Cohere", "api_key": "k"}]}, {"on_error": "empty"}])
def test_nobody_waits_for_a_quota_of_tomorrow(loop: Loop, others: dict[str, Any]) -> None:
    """Rows in line, and those that come, go to their fallback or degrade at once."""
    provider = Spent()
    if "fallback" in others:
        others["fallback"][0]["base_url"] = "http://127.0.0.1:9/good/v1/rerank"
    found = loop.run_until_complete(asked(provider, 600, "http://127.0.0.1:9/spent/v1/rerank", others))
    results, times = zip(*found, strict=True)
    assert all(result == ([(0, 0.5)] if "fallback" in others else []) for result in results)
    assert max(times) <= 5 and provider.refused <= 2 * AT_ONCE


class OneAtATime:
    """Refuses who comes while another is there."""

    def __init__(self) -> None:
        self._is_busy = False

    async def __call__(self, _: str) -> Response:
        if self._is_busy:
            await asyncio.sleep(REFUSAL_S)
            return Response(429, {}, b'{"message":"busy"}')
        self._is_busy = True
        await asyncio.sleep(LATENCY_S)
        self._is_busy = False
        return Response(200, {}, b'{"results":[{"index":0,"relevance_score":0.5}]}')


def test_who_was_turned_away_keeps_its_turn(loop: Loop) -> None:
    """Answers are written in the order of rows, so that the oldest must not be the last."""
    results, times = zip(*loop.run_until_complete(asked(OneAtATime(), 200)), strict=True)
    assert all(result == [(0, 0.5)] for result in results)
    written = [max(times[: number + 1]) for number in range(200)]
    silence = max(later - earlier for earlier, later in pairwise(written))
    assert silence <= 20 * LATENCY_S


class Falling:
    """Refuses for a moment, and then says nothing."""

    def __init__(self) -> None:
        self.requests = 0
        self._began = 0.0

    async def __call__(self, _: str) -> Response:
        now = asyncio.get_running_loop().time()
        self._began = self._began or now
        self.requests += 1
        await asyncio.sleep(REFUSAL_S)
        if now - self._began < 0.2:
            return Response(429, {}, b'{"message":"slow down"}')
        await asyncio.sleep(1e6)
        raise AssertionError("unreachable")


def test_silence_after_refusals_is_not_waited_for_one_by_one(loop: Loop) -> None:
    """A request that is not answered says that the endpoint fails, not that it is crowded."""
    found = loop.run_until_complete(asked(Falling(), AT_ONCE, others={"timeout_s": 1, "on_error": "empty"}))
    results, times = zip(*found, strict=True)
    assert all(result == [] for result in results)
    assert max(times) <= 20

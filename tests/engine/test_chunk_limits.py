"""What a whole block may cost is known before its first request, or ends with its time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import engine_bytes
from asking import RIGHT_BODY, row, settings
from clickhouse_rerank.config.tables import Limits
from clickhouse_rerank.engine.chunks import Answerer, Chunk
from clickhouse_rerank.engine.formats import FORMATS
from clickhouse_rerank.errors import RerankError
from clickhouse_rerank.network.transport import Response
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.types import Row
from conftest import Worker
from provider import Provider
from scripted_transport import ScriptedTransport
from skipping_loop import Loop

Start = Callable[..., Worker]
URL = "http://127.0.0.1:9"
"""Where nothing listens: the transport is scripted."""

CONFIG = """
[network]
allow_private = ["127.0.0.1"]
[cache]
{cache}
[limits]
max_calls = 20
max_in_flight = {in_flight}
"""


@pytest.fixture
def start(worker: Start, tmp_path: Path) -> Start:
    """A worker that allows 20 calls in a block."""

    def started(cache: str = "memory_s = 0", in_flight: int = 4) -> Worker:
        path = tmp_path / "config.toml"
        path.write_text(CONFIG.format(cache=cache, in_flight=in_flight))
        return worker(CLICKHOUSE_RERANK_CONFIG=str(path))

    return started


def answered(one: Worker, rows: list[Row]) -> bool:
    """Send a block; whether it has results."""
    one.send(engine_bytes.chunk(rows, "JSONEachRow"))
    return [] not in [json.loads(line)["result"] for line in one.lines(len(rows))]


def test_too_many_calls_are_refused_before_the_first(start: Start, provider: Provider) -> None:
    """21 different rows send nothing; 20 of them, each twice, are answered, and the next block too."""
    one = start()
    rows = [row(provider.url, query=f"zebra {i}") for i in range(21)]
    assert not answered(one, rows)
    assert provider.requests == []
    assert answered(one, rows[:20] * 2)
    assert answered(one, rows[20:])
    assert len(provider.requests) == 21
    said = one.finish()[2].decode()
    assert said.startswith("Rerank: TOO_MANY_ROWS: A block may need 20 calls (limits.max_calls), and one needs more.")
    assert "PREWHERE" in said and "docs/cost.md" in said


def test_rows_that_share_requests_count_by_their_documents(start: Start, provider: Provider) -> None:
    """20 requests of 999 documents are allowed to rows with one query, and not one more."""
    one = start(in_flight=64)
    rows = [row(provider.url, documents=[f"{i} {j}" for j in range(900)]) for i in range(23)]
    assert not answered(one, rows * 2)
    assert provider.requests == []
    assert answered(one, rows[:22])
    assert len(provider.requests) <= 22


def test_rows_that_need_no_request_do_not_count(start: Start, provider: Provider) -> None:
    """Rows without documents, for BM25, for a dry run, and rows whose scores are cached."""
    one = start(cache="memory_s = 60")
    asking = [row(provider.url, query=f"zebra {i}") for i in range(20)]
    free = [row(provider.url, query=f"q {i}", documents=[]) for i in range(30)]
    local = [row("", provider="BM25", key="", query=f"q {i}") for i in range(30)]
    dry = [row(provider.url, query=f"q {i}", others={"dry_run": True}) for i in range(30)]
    one.send(engine_bytes.chunk([*free, *local, *dry, *asking], "JSONEachRow"))
    assert one.lines(110)[-1] != b'{"result":[]}\n'
    assert len(provider.requests) == 20
    assert answered(one, [*asking, *(row(provider.url, query=f"others {i}") for i in range(20))])
    assert len(provider.requests) == 40


def test_what_does_not_fit_into_memory_is_counted_on_the_way(start: Start, provider: Provider) -> None:
    """A block whose rows are held in part: never more calls than allowed, and no hang."""
    one = start(in_flight=4)
    rows = [
        row(provider.url, query=f"zebra {i}", documents=["zebra", "LARGE" if i in (0, 10) else "a"], top_k=1)
        for i in range(30)
    ]
    one.send(engine_bytes.chunk(rows, "JSONEachRow").replace(b"LARGE", b"x" * (17 << 20)))
    assert one.lines(30)[-1] == b'{"result":[]}\n'
    assert 0 < len(provider.requests) <= 20
    assert b"TOO_MANY_ROWS" in one.finish()[2]


def test_a_block_ends_at_its_deadline() -> None:
    """Rows in flight are given up, rows in line are not sent, whatever on_error says; the next query works."""
    loop = Loop()
    transport = ScriptedTransport(lambda _: loop.create_future())
    written: list[bytes] = []
    reported: list[RerankError] = []

    async def write(answers: bytes) -> None:
        written.append(answers)

    async def report(error: RerankError) -> None:
        reported.append(error)

    async def answer(reranker: Reranker, limits: Limits, rows: list[Row]) -> None:
        chunk = Chunk(len(rows))
        for one in rows:
            chunk.add(engine_bytes.argument(one, "JSONEachRow"))
        await Answerer(reranker, FORMATS["JSONEachRow"], limits, write, report).answer(chunk)

    async def run() -> None:
        within = settings(max_calls=20, max_in_flight=4, counters="/nowhere/to/count")
        reranker = Reranker(within, transport)
        others = {"deadline_s": 0.3, "on_error": "empty"}
        await answer(reranker, within.limits, [row(URL, query=f"zebra {i}", others=others) for i in range(20)])
        assert len(transport.requests) == 4
        assert loop.now == pytest.approx(1000.3)
        (error,) = reported
        assert str(error).startswith(
            "Rerank: TIMEOUT: The rows of a block were not ranked within 0.3 s (others.deadline_s)"
        )
        transport.script = lambda _: Response(200, {}, RIGHT_BODY.encode())
        await answer(reranker, within.limits, [row(URL, others={"deadline_s": 60})])
        await reranker.aclose()

    loop.run_until_complete(run())
    loop.close()
    *empty, last = b"".join(written).splitlines(keepends=True)
    assert empty == [b'{"result":[]}\n'] * 20
    assert engine_bytes.answers(last, "JSONEachRow") == [[(0, b"zebra one", 1.0), (2, b"one two zebra", 1.0)]]
    assert len(reported) == 1


def test_a_deadline_belongs_to_the_call(start: Start, provider: Provider) -> None:
    """Not to a fallback, and not to a scorer that never waits."""
    one = start()
    for others, provider_name in (
        ({"fallback": [{"provider": "BM25", "deadline_s": 1}]}, "Cohere"),
        ({"deadline_s": 1}, "BM25"),
    ):
        url, key = (provider.url, "k") if provider_name == "Cohere" else ("", "")
        assert not answered(one, [row(url, provider=provider_name, key=key, others=others)])
    said = one.finish()[2].decode()
    assert "An entry of others.fallback has deadline_s. It belongs beside fallback." in said
    assert "BM25 has no key 'deadline_s' in others." in said

"""The other rows of the table of targets, and what the provider can serve; one worker's costs are in worker_figures."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from statistics import median

from clickhouse_rerank.commands.embedded_engine import QueryError

from . import load, sql
from .local_models import local_models
from .processes import isolated
from .provider import Provider, stats
from .record import Figure, Results, Sizes
from .scores import scores
from .windows import windows
from .work import KEY, Work
from .worker_figures import codec, cold_start, memory

Say = Callable[[str], None]
_SMALL = Work(1000, 5, 100)
_PER_MINUTE = 12_000
_CALLS_A_TURN = 20
_TAIL = "100~2~3000"


def run(provider: Provider, sizes: Sizes, results: Results, say: Say) -> None:
    """Fill in these figures."""
    measures = (
        added_latency,
        codec,
        duplicates,
        scores,
        windows,
        local_models,
        memory,
        cold_start,
        outage,
        rate,
        slow_answers,
    )
    for measure in measures:
        for figure in measure(provider, sizes):
            say(f"{figure.what}: {figure.measured} {figure.detail}")
            results.figures.append(figure)


def capacity(provider: Provider, sizes: Sizes, results: Results, say: Say) -> None:
    """How much the provider can serve, against what the contests ask of it."""
    for in_flight in (64, 256):
        rate = isolated(
            load.requests_per_s, provider.port, f"/0/{sizes.main.items}/200", sizes.main, in_flight, sizes.load_s
        )
        provider.stats()
        line = (
            f"It answers {rate:,.0f} requests/s of the same size from a raw-socket client on {in_flight} connections "
            f"when it does not wait; the ideal of the work at {in_flight} in flight is {in_flight * 10:,} requests/s."
        )
        say(line)
        results.provider.append(line)


def added_latency(provider: Provider, sizes: Sizes) -> list[Figure]:
    """A warm call in SQL against the same request sent on a kept socket, taking turns."""
    work = replace(sizes.main, rows=1)
    sql_ms, direct_ms, engine_ms = isolated(_latencies, work, provider.port, sizes.latency_calls)
    added = sql_ms - direct_ms
    detail = (
        f"SQL {sql_ms:.2f} ms, of which {engine_ms:.2f} ms are the engine's for a query on the same row without "
        f"Rerank; raw socket {direct_ms:.2f} ms; {work.documents} documents x {work.size:,} B"
    )
    return [Figure("added latency of one warm call in SQL, p50", f"{added:.2f} ms", "<= 1.6 ms", added <= 1.6, detail)]


def _latencies(work: Work, port: int, calls: int) -> tuple[float, float, float]:
    """Medians in ms: a call in SQL, the same request on a kept socket, a query without Rerank; each warm, in turns."""
    path = f"/0/{work.items}/200"
    with sql.Bench() as bench, socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bench.fill(work)

        def in_sql(query: str) -> Callable[[], object]:
            statement = f"""SELECT Rerank('{query}', documents, {work.top_k}, 'Cohere',
                'http://127.0.0.1:{port}{path}/v2/rerank', '{KEY}', '') FROM work"""
            return lambda: bench.engine.query(statement)

        def direct(query: str) -> Callable[[], object]:
            data = load.request(port, path, work, query=query)
            return lambda: load.ask(sock, data)

        def without(query: str) -> Callable[[], object]:
            statement = f"SELECT arraySlice(documents, 1, {work.top_k}) FROM work WHERE '{query}' != ''"
            return lambda: bench.engine.query(statement)

        took: tuple[list[float], list[float], list[float]] = ([], [], [])
        for turn in range(calls // _CALLS_A_TURN + 1):
            for times, made in zip(took, (in_sql, direct, without), strict=True):
                fresh = []
                for number in range(_CALLS_A_TURN):
                    call = made(f"latency {os.getpid()} {turn} {number}")
                    began = time.perf_counter()
                    call()
                    fresh.append(1000 * (time.perf_counter() - began))
                if turn:
                    times.extend(fresh)
    sql_ms, direct_ms, engine_ms = map(median, took)
    return sql_ms, direct_ms, engine_ms


def duplicates(provider: Provider, sizes: Sizes) -> list[Figure]:
    """Requests for a chunk in which ten calls are repeated."""
    provider.stats()
    rows = sizes.duplicate_rows
    isolated(_ask_duplicates, rows, provider.url(10, 5))
    requests = provider.stats()["requests"]
    return [Figure(f"a chunk of {rows:,} rows with 10 distinct calls", f"{requests} requests", "10", requests == 10)]


def _ask_duplicates(rows: int, url: str) -> None:
    with sql.Bench() as bench:
        bench.engine.query(
            f"""SELECT sum(length(Rerank(concat('question ', toString(number % 10)), ['a', 'b', 'c', 'd', 'e'], 5,
                'Cohere', '{url}/v2/rerank', '{KEY}', ''))) FROM numbers({rows}) SETTINGS max_threads = 1"""
        )


def rate(provider: Provider, sizes: Sizes) -> Iterator[Figure]:
    """How much of a provider's allowance is used, with nothing configured: a bucket that holds a second of it."""
    for hint in ("", "+hint"):
        provider.stats()
        url = f"{provider.url(50, 5)}@{_PER_MINUTE}{hint}"
        wall_s = isolated(_ask_all, sizes.rate_rows, url)
        requests = provider.stats()["requests"] / sizes.rate_rows
        share = sizes.rate_rows / wall_s / (_PER_MINUTE / 60)
        yield Figure(
            f"{sizes.rate_rows:,} rows at a provider that allows {_PER_MINUTE:,} requests/min, 429 "
            f"{'with' if hint else 'without'} Retry-After: rate / allowed",
            f"{share:.3f}",
            ">= 0.95",
            share >= 0.95,
            f"no row failed; {requests:.2f} requests a row",
        )


def _ask_all(rows: int, url: str) -> float:
    work = replace(_SMALL, rows=rows)
    with sql.Bench() as bench:
        bench.fill(work)
        return bench.rerank(work, url).wall_s


def slow_answers(provider: Provider, sizes: Sizes) -> list[Figure]:
    """Time of a query at a provider with a long tail, with others.hedge_ms against without."""
    rounds = [isolated(_ask_slow, sizes.main.rows, provider.port, provider.url(_TAIL, 5)) for _ in range(sizes.rounds)]
    ratio = median(hedged_s / plain_s for plain_s, hedged_s, _ in rounds)
    plain, hedged, requests = (median(values) for values in zip(*rounds, strict=True))
    return [
        Figure(
            f"{sizes.main.rows:,} rows, 100 ms but 2 % take 3 s, 64 in flight: time with hedge_ms / without",
            f"{ratio:.2f}",
            "<= 0.50",
            ratio <= 0.5,
            f"{hedged:.2f} s with, {plain:.2f} s without; {requests:.3f} requests a row",
        )
    ]


def _ask_slow(rows: int, port: int, url: str) -> tuple[float, float, float]:
    """(seconds without hedge_ms, seconds with it, requests a row with it)."""
    work = replace(_SMALL, rows=rows)
    with sql.Bench() as bench:
        bench.fill(work)
        plain = bench.rerank(work, url)
        stats(port)
        hedged = bench.rerank(work, url, others='{"hedge_ms":200}')
        return plain.wall_s, hedged.wall_s, stats(port)["requests"] / rows


def outage(provider: Provider, sizes: Sizes) -> list[Figure]:
    """Requests a row while every one is refused with 503, once the budget of retries is spent."""
    burst, after, rows = isolated(_ask_in_vain, sizes.outage_rows, provider.port, provider.url(1, 5, 503))
    ratio = after / rows
    detail = f"{after} requests for {rows} rows; the burst before them was {burst} requests"
    return [Figure("requests a row in a total outage, after the burst", f"{ratio:.2f}", "<= 1.1", ratio <= 1.1, detail)]


def _ask_in_vain(rows: int, port: int, url: str) -> tuple[int, int, int]:
    """(requests of the burst, requests after it, rows after it); one query, or where rows cannot fail alone, many."""
    degraded = '{"on_error":"empty"}'
    burst = 200
    work = replace(_SMALL, rows=rows + burst)
    with sql.Bench() as bench:
        bench.fill(work)
        stats(port)
        try:
            bench.rerank(work, url, rows=burst, others=degraded)
        except QueryError as error:
            if "BAD_OTHERS" not in str(error):
                raise
            burst = 30
            _fail_each(bench, work, url, burst)
            first = stats(port)["requests"]
            _fail_each(bench, work, url, rows)
        else:
            first = stats(port)["requests"]
            bench.rerank(work, url, rows=rows, others=degraded)
        return first, stats(port)["requests"], rows


def _fail_each(bench: sql.Bench, work: Work, url: str, queries: int) -> None:
    for _ in range(queries):
        with suppress(QueryError):
            bench.rerank(work, url, rows=1)

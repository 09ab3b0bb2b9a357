"""How the cost grows with rows, documents, their size, calls in flight and worker processes.

The cost of a row is the workers' processor time, which a busy machine does not change much.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from clickhouse_rerank.request.passages import Rules, cut_row
from clickhouse_rerank.types import Row

from . import local_growth, sql
from .processes import isolated
from .provider import Provider, stats
from .record import Curve, Results, Sizes
from .work import Work

Say = Callable[[str], None]
_SMALL = Work(1000, 5, 100)
_LATENCY_MS = 100
_MAX_BYTES = 60_000_000


def run(provider: Provider, sizes: Sizes, results: Results, say: Say) -> None:
    """Fill in the curves."""
    for measure in (rows, documents, size, passages, in_flight, processes, local_growth.curves):
        for curve in measure(provider, sizes):
            say(f"{curve.axis}: " + ", ".join(f"{at:,}: {cost:.3g}" for at, cost in curve.points) + f" {curve.unit}")
            results.curves.append(curve)


def _upto(most: int, *values: int) -> list[int]:
    return [value for value in values if value <= most]


def _shrunk(work: Work) -> Work:
    """The work with fewer rows, where it would be too large to hold."""
    return replace(work, rows=max(20, min(work.rows, _MAX_BYTES // (work.documents * work.size))))


def rows(provider: Provider, sizes: Sizes) -> list[Curve]:
    """Worker time a row over the rows of a query, in one engine."""
    works = [replace(_SMALL, rows=count) for count in _upto(sizes.most_rows, 10, 100, 1000, 10_000, 100_000)]
    runs = isolated(_several, works, provider.url(0, _SMALL.items))
    points = [(work.rows, 1000 * run.worker_cpu_s / work.rows) for work, run in zip(works, runs, strict=True)]
    note = f"{_SMALL.documents} documents x {_SMALL.size} B; short queries are repeated"
    return [Curve("rows", "ms of worker CPU a row", points, note)]


def documents(provider: Provider, sizes: Sizes) -> list[Curve]:
    """Worker time a row, and a document, over the documents of a row."""
    works = [_shrunk(Work(sizes.growth_rows, count, 200)) for count in (1, 3, 10, 30, 100, 300, 1000)]
    costs = [isolated(_one, work, provider.url(0, work.items)).worker_cpu_s for work in works]
    each = [1000 * cost / work.rows for work, cost in zip(works, costs, strict=True)]
    note = "documents x 200 B, the best 10 of them"
    return [
        Curve(
            "documents", "ms of worker CPU a row", [(w.documents, ms) for w, ms in zip(works, each, strict=True)], note
        ),
        Curve(
            "documents, beyond the first",
            "us of worker CPU a document",
            [
                (w.documents, 1000 * (ms - each[0]) / (w.documents - 1))
                for w, ms in zip(works[2:], each[2:], strict=True)
            ],
            note,
        ),
    ]


def size(provider: Provider, sizes: Sizes) -> list[Curve]:
    """Worker time a row, over the size of its documents."""
    works = [_shrunk(Work(sizes.growth_rows, 5, count)) for count in (100, 1000, 10_000, 100_000)]
    costs = [isolated(_one, work, provider.url(0, work.items)).worker_cpu_s for work in works]
    points = [(work.size, 1000 * cost / work.rows) for work, cost in zip(works, costs, strict=True)]
    return [Curve("document size in bytes", "ms of worker CPU a row", points, "5 documents")]


def passages(_: Provider, __: Sizes) -> list[Curve]:
    """Processor time for cutting a document into passages, over its size."""
    points = [(count, isolated(_cut_ms, count)) for count in (10_000, 100_000, 1_000_000, 10_000_000)]
    note = "250 words with an overlap of 50; 32 are kept, and all are counted"
    return [Curve("document size in bytes, cut into passages", "ms of CPU a document", points, note)]


def _cut_ms(count: int) -> float:
    words = "".join(f"word{number % 977} ends here{'.' * (number % 3 == 0)} " for number in range(count // 15))
    row = Row("q", [words], 1, "", "", "", "")
    times = []
    for _ in range(3):
        began = time.process_time()
        cut_row(row, Rules())
        times.append(time.process_time() - began)
    return 1000 * min(times)


def in_flight(provider: Provider, sizes: Sizes) -> list[Curve]:
    """Worker time a row, and wall time / ideal, over the calls in flight."""
    work = Work(sizes.growth_rows, 20, 500)
    url = provider.url(_LATENCY_MS, work.items)
    cost: list[tuple[int, float]] = []
    ratio: list[tuple[int, float]] = []
    for limit in (1, 4, 16, 64, 256, 512):
        fewer = replace(work, rows=min(work.rows, 30 * limit))
        run = isolated(_one, fewer, url, limit)
        cost.append((limit, 1000 * run.worker_cpu_s / fewer.rows))
        ratio.append((limit, run.wall_s / (fewer.rows * _LATENCY_MS / 1000 / limit)))
    note = f"{work.documents} documents x {work.size} B, {_LATENCY_MS} ms"
    return [
        Curve("in flight", "ms of worker CPU a row", cost, note),
        Curve(
            "in flight, wall time", "x ideal", ratio, f"{note}; at 512 the ideal is {512_000 // _LATENCY_MS:,} rows/s"
        ),
    ]


def processes(provider: Provider, sizes: Sizes) -> list[Curve]:
    """Time of all workers a row, and the requests the provider has at once, over the processes of the pool."""
    work = Work(sizes.growth_rows, 20, 500)
    url = provider.url(_LATENCY_MS, work.items)
    cost: list[tuple[int, float]] = []
    most: list[tuple[int, float]] = []
    for count in (1, 2, 4, 8):
        stats(provider.port)
        run = isolated(_one, work, url, 64, count)
        cost.append((run.workers, 1000 * run.worker_cpu_s / work.rows))
        most.append((run.workers, stats(provider.port)["most_in_flight"]))
    note = f"{work.documents} documents x {work.size} B, {_LATENCY_MS} ms, max_in_flight 64"
    return [
        Curve("processes", "ms of worker CPU a row", cost, note),
        Curve("processes, load", "requests at once at the provider", most, note),
    ]


def _several(works: Sequence[Work], url: str) -> list[sql.Run]:
    runs = []
    with sql.Bench() as bench:
        for work in works:
            bench.fill(work)
            if not runs:
                bench.rerank(work, url)
            repeats = [bench.rerank(work, url) for _ in range(max(1, 1000 // work.rows))]
            runs.append(min(repeats, key=lambda run: run.worker_cpu_s))
    return runs


def _one(work: Work, url: str, max_in_flight: int = 64, threads: int = 1) -> sql.Run:
    with sql.Bench(max_in_flight=max_in_flight) as bench:
        bench.fill(work, blocks=threads)
        bench.rerank(work, url, threads=threads, rows=0 if threads > 1 else min(work.rows, 10))
        return bench.rerank(work, url, threads=threads)

"""Lists that a chat model orders window by window: one request of a row after the other, all rows at the same time."""

import os
from statistics import median

from . import sql
from .processes import isolated
from .provider import Provider, stats
from .record import Figure, Sizes
from .work import KEY, Work

_WORK = Work(64, 100, 1000)
_WINDOW, _WINDOWS = 20, 9
_LATENCY_MS = 100


def windows(provider: Provider, sizes: Sizes) -> list[Figure]:
    """Time of 64 lists of 100 documents at a provider that takes 100 ms for a window."""
    url = provider.url(_LATENCY_MS, _WINDOW)
    rounds = [isolated(_order, provider.port, url) for _ in range(sizes.rounds)]
    wall_s, cpu_s = (median(values) for values in list(zip(*rounds, strict=True))[:2])
    requests = {one[2] for one in rounds}
    ideal_s = _WINDOWS * _LATENCY_MS / 1000
    ratio = wall_s / ideal_s
    return [
        Figure(
            f"{_WORK.rows} rows x {_WORK.documents} documents x {_WORK.size:,} B in windows of {_WINDOW}, "
            f"{_LATENCY_MS} ms a window, 64 in flight: time / ideal",
            f"{ratio:.2f}",
            "<= 1.50",
            ratio <= 1.5 and requests == {_WORK.rows * _WINDOWS},
            f"{wall_s:.2f} s, ideal {ideal_s:.2f} s: {_WINDOWS} windows one after the other; {max(requests)} requests; "
            f"worker CPU {1000 * cpu_s / _WORK.rows:.1f} ms a row",
        )
    ]


def _order(port: int, url: str) -> tuple[float, float, int]:
    """(seconds, CPU seconds of the worker, requests)."""
    with sql.Bench() as bench:
        bench.fill(_WORK)
        query = f"""SELECT count(), sum(length(r)) FROM (SELECT Rerank(concat('windows {os.getpid()} ', toString(n)),
            documents, 10, 'Chat', '{url}/v1/chat/completions', '{KEY}', '{{"model":"m"}}') AS r FROM work)
            SETTINGS max_threads = 1"""
        bench.engine.query(query.replace("windows ", "warm ").replace("FROM work", "FROM work LIMIT 1"))
        stats(port)
        run = bench.timed(query, (_WORK.rows, _WORK.rows * 10))
        return run.wall_s, run.worker_cpu_s, stats(port)["requests"]

"""`python -m bench.formats`: what each row format costs engine and worker together, without a network.

The query runs on the embedded engine with the real worker, whose requests are answered at once.
"""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from . import processes, sql
from .processes import isolated
from .work import KEY, Work

_ROOT = Path(__file__).parents[1]
_WORK = Work(1000, 50, 1000)
_ROUNDS = 5
_FORMATS = ("JSONEachRow", "RowBinary", "TabSeparated")
_TEXTS: Mapping[str, str] = {
    "prose": "documents",
    "prose with many line feeds": r"arrayMap(text -> replaceAll(text, 'e', '\n'), documents)",
}


def _run(format_name: str) -> dict[str, tuple[float, float, float]]:
    """Texts -> ms per row: of wall time, of the engine's CPU time, of the worker's."""
    taken = {}
    with sql.Bench(format_name) as bench:
        launcher = bench.engine.progress.parent / "udf" / "rerank"
        launcher.write_text(f'#!/bin/sh\ncd "{_ROOT}" && exec "{sys.executable}" -m bench.stubbed_worker "$@"\n')
        bench.fill(_WORK)
        for texts, column in _TEXTS.items():
            bench.engine.query(
                f"CREATE OR REPLACE TABLE texts ENGINE = Memory AS SELECT n, {column} AS documents FROM work"
            )
            query = f"""SELECT sum(length(Rerank(concat('question ', toString(n)), documents, {_WORK.top_k}, 'Cohere',
                'http://127.0.0.1:9/v2/rerank', '{KEY}', ''))) FROM texts SETTINGS max_threads = 1"""
            bench.engine.query(query)
            taken[texts] = _timed(bench, query)
    return taken


def _timed(bench: sql.Bench, query: str) -> tuple[float, float, float]:
    def spent() -> tuple[float, float, float]:
        return time.perf_counter(), processes.cpu_s(), sum(processes.cpu_s(pid) for pid in processes.workers())

    before = spent()
    answer = bench.engine.query(query)
    wall, engine, worker = (1000 * (after - then) / _WORK.rows for then, after in zip(before, spent(), strict=True))
    if int(answer) != _WORK.rows * _WORK.items:
        raise RuntimeError(f"{answer!r} ranked documents came back of {_WORK}")
    return wall, engine, worker


def main() -> None:
    """Formats take turns; each round of each has an engine and a worker of its own."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    rounds = []
    for number in range(_ROUNDS):
        rounds.append({name: isolated(_run, name) for name in _FORMATS})
        print(f"round {number + 1} of {_ROUNDS}", file=sys.stderr, flush=True)
    print(f"{_WORK.rows} rows x {_WORK.documents} documents x {_WORK.size} B, medians of {_ROUNDS} rounds")
    for texts in _TEXTS:
        base = [each["JSONEachRow"][texts] for each in rounds]
        for name in _FORMATS:
            mine = [each[name][texts] for each in rounds]
            cpu = median((e + w) / (be + bw) for (_, e, w), (_, be, bw) in zip(mine, base, strict=True))
            wall, engine, worker = (median(part) for part in zip(*mine, strict=True))
            print(
                f"{texts}, {name}: CPU time of engine and worker / that with JSONEachRow: {cpu:.2f};"
                f" ms per row: engine {engine:.3f}, worker {worker:.3f}, wall time {wall:.3f}"
            )


if __name__ == "__main__":
    main()

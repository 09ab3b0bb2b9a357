"""Rerank as its user meets it: SQL through the embedded engine, timed, with what its workers spent."""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from clickhouse_rerank.commands.embedded_engine import Engine

from . import processes
from .work import KEY, Work


@dataclass(frozen=True)
class Run:
    """One query."""

    wall_s: float
    worker_cpu_s: float
    """Of all workers."""
    engine_cpu_s: float
    workers: int
    """Processes that did something for the query."""


def configuration(max_in_flight: int, folder: str) -> str:
    """The path of a configuration file with this limit; each call asks, also when it was asked before."""
    path = Path(folder) / "config.toml"
    path.write_text(f"[limits]\nmax_in_flight = {max_in_flight}\nmax_calls = 1000000\n[cache]\nmemory_s = 0\n")
    return str(path)


class Bench:
    """An engine with Rerank registered in one format; at most one in a process."""

    def __init__(self, format_name: str = "JSONEachRow", max_in_flight: int = 64) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rerank-bench-")
        os.environ["CLICKHOUSE_RERANK_CONFIG"] = configuration(max_in_flight, self._folder.name)
        self.engine = Engine(format_name=format_name)
        self._salt = 0

    def fill(self, work: Work, table: str = "work", blocks: int = 1) -> None:
        """Make the table of a work."""
        for statement in work.sql_table(table, blocks):
            self.engine.query(statement)

    def rerank(
        self, work: Work, url: str, table: str = "work", threads: int = 1, rows: int = 0, others: str = ""
    ) -> Run:
        """Rank all rows of the table, or the first `rows`."""
        self._salt += 1
        query = f"""SELECT count(), sum(length(r)) FROM (SELECT Rerank(concat('question {os.getpid()} {self._salt} ',
            toString(n)), documents, {work.top_k}, 'Cohere', '{url}/v2/rerank', '{KEY}', '{others}') AS r
            FROM {table} {f"LIMIT {rows}" if rows else ""}) SETTINGS max_threads = {threads}"""
        return self.timed(query, ((rows or work.rows), (rows or work.rows) * work.items), checks=not others)

    def fill_texts(self, rows: int) -> None:
        """Make the table texts(n UInt64, text String), with one `#` in each text."""
        self.engine.query("CREATE OR REPLACE TABLE texts (n UInt64, text String) ENGINE = Memory")
        self.engine.query(
            f"""INSERT INTO texts SELECT number, concat('document #', toString(number), repeat(' of words', 20))
                FROM numbers({rows}) SETTINGS max_block_size = 65536, min_insert_block_size_rows = 65536"""
        )

    def timed(self, query: str, expected: tuple[int, int], *, checks: bool = True) -> Run:
        """Run a query of two numbers, which must be the expected ones."""
        before = {pid: processes.cpu_s(pid) for pid in processes.workers()}
        engine_before = processes.cpu_s()
        began = time.perf_counter()
        answer = self.engine.query(query)
        wall_s = time.perf_counter() - began
        engine_s = processes.cpu_s() - engine_before
        spent = [processes.cpu_s(pid) - before.get(pid, 0.0) for pid in processes.workers()]
        if checks and tuple(map(int, answer.split())) != expected:
            raise RuntimeError(f"{answer!r} came back, not {expected}")
        return Run(wall_s, sum(spent), engine_s, sum(s > 0.002 for s in spent))

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()
        self._folder.cleanup()


def engine_version() -> str:
    """Of the embedded ClickHouse."""
    with Engine() as engine:
        return engine.query("SELECT version()").decode().strip()

"""The embedded engine with a cross-encoder of random weights, and a table of texts for it."""

import json
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from clickhouse_rerank.commands.embedded_engine import Engine
from clickhouse_rerank.config.models import Model
from clickhouse_rerank.scorers import network

from . import processes
from .bert_network import Architecture, make, to_int8

_QUERY_TOKENS = 10
_SPECIAL_TOKENS = 3
Row = tuple[str, Sequence[str]]
"""Query and documents."""


class LocalEngine:
    """An engine whose only model has this architecture; at most one in a process."""

    def __init__(self, architecture: Architecture, *, int8: bool = False, prepared: bool = True) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="rerank-bench-")
        self.folder = Path(self._scratch.name)
        self.model = Model("random", self.folder / "data" / "clickhouse-rerank" / "models" / "random")
        make(self.model.folder, architecture)
        if int8:
            to_int8(self.model.folder)
        if prepared:
            network.prepare(self.model)
        os.environ["XDG_DATA_HOME"] = str(self.folder / "data")
        self._engine = Engine()
        self._engine.query("SELECT CrossEncoderRerank('warm', ['w7'], 1)")

    def fill(self, rows: Sequence[Row], blocks: int = 1) -> None:
        """Make the table of these rows, of so many blocks."""
        self._engine.query("CREATE OR REPLACE TABLE work (q String, d Array(String)) ENGINE = Memory")
        for number in range(blocks):
            self.file.write_text(
                "\n".join(json.dumps({"q": query, "d": texts}) for query, texts in rows[number::blocks])
            )
            self._engine.query(f"INSERT INTO work SELECT * FROM file('{self.file}', 'JSONEachRow')")

    @property
    def file(self) -> Path:
        """The rows of the last block, a JSON object each."""
        return self.folder / "rows.jsonl"

    def rank(self, threads: int = 1) -> tuple[float, float]:
        """(wall seconds, seconds of the workers' processor time) for all rows of the table."""
        before = {pid: processes.cpu_s(pid) for pid in processes.workers()}
        began = time.perf_counter()
        self._engine.query(
            f"SELECT sum(length(CrossEncoderRerank(q, d, 10))) FROM work SETTINGS max_threads = {threads}"
        )
        wall_s = time.perf_counter() - began
        return wall_s, sum(processes.cpu_s(pid) - before.get(pid, 0.0) for pid in processes.workers())

    def __enter__(self) -> "LocalEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        self._scratch.cleanup()


def texts(rows: int, documents: int, shortest: int, longest: int) -> list[Row]:
    """Rows whose pairs of query and document have so many tokens, equally often each."""
    chance = random.Random(5)
    fixed = _QUERY_TOKENS + _SPECIAL_TOKENS
    return [
        (
            _words(chance, _QUERY_TOKENS),
            [_words(chance, chance.randint(shortest, longest) - fixed) for _ in range(documents)],
        )
        for _ in range(rows)
    ]


def _words(chance: random.Random, count: int) -> str:
    return " ".join(f"w{chance.randint(4, 30_000)}" for _ in range(count))

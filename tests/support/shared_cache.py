"""Calls and settings of tests of the cache."""

from __future__ import annotations

import json
from pathlib import Path

import engine_bytes
from clickhouse_rerank.types import Ranking, Row
from conftest import Worker


def configured(folder: Path, text: str = "") -> dict[str, str]:
    """The variable that names a configuration; "" is all defaults."""
    path = folder / "config.toml"
    path.write_text(text)
    return {"CLICKHOUSE_RERANK_CONFIG": str(path)}


def answer(one: Worker, *rows: Row) -> list[Ranking]:
    """What a worker answers to one chunk."""
    one.send(engine_bytes.chunk(list(rows), "JSONEachRow"))
    return [[(index, score) for index, _, score in json.loads(line)["result"]] for line in one.lines(len(rows))]


def shared(folder: Path) -> dict[str, str]:
    """The configuration of workers that share a file, and log beside it."""
    return configured(folder, f'[cache]\npath = "{folder}/kept/scores"\n[log]\npath = "{folder}/log"\n')

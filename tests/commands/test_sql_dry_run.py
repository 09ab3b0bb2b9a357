"""`clickhouse-rerank sql --dry-run` says what a query would send, and sends nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from clickhouse_rerank.commands.dry_run import costs
from clickhouse_rerank.config.prices import Price
from conftest import worker_environment
from pages import ROOT, blocks, statements
from provider import Provider

CONFIG = """
[cache]
memory_s = 600
{file}
[usage.prices.Cohere]
"recipe-0" = {{ search_unit = 0.002 }}
"""


def run(config: Path, *arguments: str, sql: str) -> str:
    """What the command prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "clickhouse_rerank.commands.cli", "sql", *arguments, "-"],
        check=False,
        input=sql.encode(),
        capture_output=True,
        env=worker_environment(CLICKHOUSE_RERANK_CONFIG=str(config)),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def dry(config: Path, sql: str, *arguments: str) -> list[dict[str, object]]:
    return [
        json.loads(line)
        for line in run(config, "--dry-run", "--format", "JSONEachRow", *arguments, sql=sql).splitlines()
    ]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(file=""))
    return path


def recipes(url: str) -> str:
    """The table of docs/recipes.md and five of its recipes, each with a model of its own at this provider."""
    found = [
        one
        for block in blocks((ROOT / "docs" / "recipes.md").read_text("utf-8"))
        if block.language == "sql"
        for one in statements(block.text)
        if not block.on_cluster
    ]
    ranking = [one for one in found if "'BM25', '', '', '')" in one and not one.startswith("CREATE VIEW")]
    asked = [
        one.replace("'BM25', '', '', '')", f"""'Cohere', '{url}', 'k', '{{"model":"recipe-{number}"}}')""")
        for number, one in enumerate(ranking[:5])
    ]
    setup = found[: found.index(ranking[0])]
    tables = [
        one
        for one in found
        if one.startswith(("CREATE TABLE questions", "INSERT INTO questions", "CREATE TABLE ranked"))
    ]
    return ";\n".join([*(one for one in setup if not one.startswith("SELECT")), *tables, *asked])


def test_five_recipes_cost_what_was_said(config: Path, provider: Provider) -> None:
    """Requests and documents of each recipe, as the provider counts them afterwards."""
    sql = recipes(provider.url)
    said = {row["model"]: (row["requests"], row["documents"]) for row in dry(config, sql)}
    assert provider.requests == []
    run(config, sql=sql)
    requests = Counter(request.json["model"] for request in provider.requests)
    documents: Counter[str] = Counter()
    for request in provider.requests:
        documents[request.json["model"]] += len(request.json["documents"])
    assert len(said) == 5
    assert said == {model: (requests[model], documents[model]) for model in requests}


def test_equal_calls_splits_and_prices_are_taken_into_account(config: Path, provider: Provider) -> None:
    call = (
        f"""Rerank(q, ['a', 'b', 'c'], 2, 'Cohere', '{provider.url}', 'k', '{{"model":"recipe-0","batch_size":2}}')"""
    )
    sql = f"SELECT {call} AS r, {call}[1].1 FROM (SELECT concat('q ', toString(number % 10)) AS q FROM numbers(100))"
    (row,) = dry(config, sql)
    assert row == {
        "provider": "Cohere",
        "model": "recipe-0",
        "calls": 10,
        "documents": 30,
        "cached": 0,
        "requests": 20,
        "tokens": row["tokens"],
        "search_units": 20,
        "cost": 0.04,
    }
    assert provider.requests == []


def test_a_dry_run_writes_nothing_that_stays(tmp_path: Path, provider: Provider) -> None:
    """Neither the cache's file, which it reads, nor tables that are kept."""
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(file=f'path = "{tmp_path}/scores.db"'))
    call = f"SELECT Rerank(materialize('q'), ['a', 'b'], 2, 'Cohere', '{provider.url}', 'k', '')"
    tables = ("--path", str(tmp_path / "tables"))
    run(config, *tables, sql="CREATE TABLE t (r String) ENGINE = MergeTree ORDER BY r")
    for _ in range(2):
        assert [(row["cached"], row["requests"]) for row in dry(config, call, *tables)] == [(0, 1)]
    run(config, sql=call)
    assert len(provider.requests) == 1
    assert [(row["cached"], row["requests"]) for row in dry(config, call, *tables)] == [(2, 0)]
    with pytest.raises(AssertionError, match="readonly"):
        dry(config, f"INSERT INTO t SELECT toString(r) FROM ({call} AS r)", *tables)


def test_without_calls_there_are_no_costs(config: Path, tmp_path: Path) -> None:
    assert dry(config, "SELECT 1") == []
    assert costs(tmp_path / "none", {("Cohere", "m"): Price()}) == []


def test_rows_that_share_a_request_count_as_one(config: Path) -> None:
    """A score for each of 2,000 rows is three requests of Cohere."""
    score = "RerankScore('q', concat('d', toString(number)), 'Cohere', '', 'k', '')"
    (cost,) = dry(config, f"SELECT max({score}) FROM numbers(2000)")
    assert (int(cost["documents"]), int(cost["requests"])) == (2000, 3)

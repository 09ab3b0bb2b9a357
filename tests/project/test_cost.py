"""docs/cost.md says how many requests a query makes: each number is counted here, at a provider.

`make generate` counts anew. A number that differs is a new engine that evaluates calls in another way.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from clickhouse_rerank.commands import functions
from conftest import Sql
from pages import ROOT, generated, with_generated
from provider import Provider, Reply, cohere

PAGE = ROOT / "docs" / "cost.md"
ROWS, GRANULE = 2048, 512


class Spelling(NamedTuple):
    """A query of a table of the page."""

    query: str
    """{R} is a call with columns, {W} one by a wrapper, {C} one with constants, {M} one of materialize('...')."""
    needed: int
    """Requests that its result needs."""


TABLES: dict[str, list[Spelling]] = {
    "conditions": [
        Spelling("SELECT id, {R} AS r FROM t WHERE id = 77 AND r[1].3 > 0.05", 1),
        Spelling("SELECT * FROM (SELECT id, {R} AS r FROM t WHERE id = 77) WHERE r[1].3 > 0.05", 1),
        Spelling("WITH c AS (SELECT id, {R} AS r FROM t WHERE id = 77) SELECT * FROM c WHERE r[1].3 > 0.05", 1),
        Spelling("SELECT id, {R} AS r FROM t WHERE id = 77 QUALIFY r[1].3 > 0.05", 1),
        Spelling("SELECT id, {R} AS r FROM t WHERE id < 100 AND flag AND r[1].3 > 0.05", 20),
        Spelling("SELECT id, {R} AS r FROM t WHERE flag AND r[1].3 > 0.05", 410),
        Spelling(
            "SELECT id, {R} AS r FROM t WHERE id < 100 AND flag AND r[1].3 > 0.05 "
            "SETTINGS optimize_move_to_prewhere = 0",
            20,
        ),
    ],
    "conditions-remedies": [
        Spelling("SELECT id, {W} AS r FROM t WHERE id = 77 AND r[1].3 > 0.05", 1),
        Spelling("SELECT * FROM (SELECT id, {W} AS r FROM t WHERE id = 77) WHERE r[1].3 > 0.05", 1),
        Spelling("WITH c AS (SELECT id, {W} AS r FROM t WHERE id = 77) SELECT * FROM c WHERE r[1].3 > 0.05", 1),
        Spelling("SELECT id, {W} AS r FROM t WHERE id = 77 QUALIFY r[1].3 > 0.05", 1),
        Spelling("SELECT id, {W} AS r FROM t WHERE id < 100 AND flag AND r[1].3 > 0.05", 20),
        Spelling("SELECT id, {W} AS r FROM t WHERE r[1].3 > 0.05 AND id = 77", 1),
        Spelling("SELECT id, {R} AS r FROM t PREWHERE id = 77 WHERE r[1].3 > 0.05", 1),
        Spelling("SELECT id, {R} AS r FROM t PREWHERE id < 100 AND flag WHERE r[1].3 > 0.05", 20),
        Spelling("SELECT id, r.3 FROM t ARRAY JOIN {R} AS r WHERE id = 77 AND r.3 > 0.05", 1),
        Spelling("SELECT id FROM t WHERE id = 77 AND if(id = 77, {R}[1].3, 0) > 0.05", 1),
        Spelling(
            "SELECT * FROM (SELECT id, {R} AS r FROM (SELECT * FROM t WHERE id = 77 LIMIT 9)) WHERE r[1].3 > 0.05", 1
        ),
        Spelling(
            "SELECT id, {R} AS r FROM t WHERE id = 77 AND r[1].3 > 0.05 "
            "SETTINGS move_primary_key_columns_to_end_of_prewhere = 0",
            1,
        ),
        Spelling(
            "SELECT id, {R} AS r FROM t WHERE r[1].3 > 0.05 AND flag AND id < 100 "
            "SETTINGS move_primary_key_columns_to_end_of_prewhere = 0",
            20,
        ),
    ],
    "limits": [
        Spelling("SELECT id, {R} AS r FROM t LIMIT 5", 5),
        Spelling("SELECT id, {R} AS r FROM t ORDER BY id DESC LIMIT 5", 5),
        Spelling("SELECT id, r.3 FROM t ARRAY JOIN {R} AS r LIMIT 1", 1),
        Spelling("SELECT id, r.3 FROM (SELECT * FROM t LIMIT 1) ARRAY JOIN {R} AS r LIMIT 1", 1),
        Spelling("SELECT id, {R} AS r FROM t ORDER BY id LIMIT 1 BY id % 2", 2),
        Spelling("SELECT id, {R} AS r FROM (SELECT * FROM t ORDER BY id LIMIT 1 BY id % 2)", 2),
        Spelling("SELECT any({R}) FROM t", 1),
        Spelling("SELECT any({R}) FROM (SELECT * FROM t LIMIT 1)", 1),
    ],
    "constants": [
        Spelling("EXPLAIN SELECT {C}", 0),
        Spelling("DESCRIBE (SELECT {C})", 0),
        Spelling("SELECT toTypeName({C})", 0),
        Spelling("SELECT if(0, {C}, [])", 0),
        Spelling("SELECT {C} FROM t WHERE 0", 0),
        Spelling("SELECT {C} FROM t LIMIT 0", 0),
        Spelling("SELECT {C} AS r, r[1].1, r[1].2", 1),
    ],
    "constants-remedies": [
        Spelling("EXPLAIN SELECT {M}", 0),
        Spelling("DESCRIBE (SELECT {M})", 0),
        Spelling("SELECT toTypeName({M})", 0),
        Spelling("SELECT {M} FROM t WHERE 0", 0),
        Spelling("SELECT {M} FROM t LIMIT 0", 0),
        Spelling("SELECT if(materialize(0), {M}, [])", 0),
        Spelling("SELECT {M} AS r, r[1].1, r[1].2", 1),
        Spelling("EXPLAIN SYNTAX SELECT {C}", 0),
    ],
}


def counted(engine: Sql, provider: Provider, query: str) -> int:
    """The requests of a query."""
    given = f"3, 'Cohere', '{provider.url}', 'k', '')"
    calls = {
        "W": "CountedRerank(question, documents, 3)",
        "R": f"Rerank(question, documents, {given}",
        "C": f"Rerank('zebra', ['zebra', 'horse'], {given}",
        "M": f"Rerank(materialize('zebra'), ['zebra', 'horse'], {given}",
    }
    provider.reset(cohere)
    engine.client.query(query.format(**calls))
    return len(provider.requests)


def filled(sql: Sql) -> Sql:
    """The engine, with the page's table."""
    sql.client.command("DROP TABLE IF EXISTS t")
    sql.client.command(
        "CREATE TABLE t (id UInt32, flag UInt8, question String, documents Array(String)) "
        f"ENGINE = MergeTree ORDER BY id SETTINGS index_granularity = {GRANULE}"
    )
    sql.client.command(
        "INSERT INTO t SELECT number, number % 5 = 0, 'zebra ' || toString(number), ['zebra', 'horse'] "
        f"FROM numbers({ROWS})"
    )
    return sql


@pytest.fixture(scope="module")
def engine(sql: Sql) -> Sql:
    """The embedded engine with the page's table."""
    return filled(sql)


def table(name: str, engine: Sql, provider: Provider) -> str:
    """A table of the page, counted."""
    wrapper = dict(functions.statements(replace=True))["CohereRerank"].rstrip(";")
    wrapper = wrapper.replace("CohereRerank", "CountedRerank").replace("'', '', '')", f"'{provider.url}', 'k', '')")
    engine.client.command(wrapper)
    lines = ["| query | requests | needed |", "|---|---|---|"]
    for spelling in TABLES[name]:
        requests = counted(engine, provider, spelling.query)
        mark = "**" if requests > spelling.needed else ""
        query = spelling.query.format(R="R", W="W", C="C", M="M")
        lines.append(f"| `{query}` | {mark}{requests:,}{mark} | {spelling.needed:,} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", TABLES)
def test_the_page_says_what_is_counted(name: str, engine: Sql, provider: Provider) -> None:
    assert table(name, engine, provider) == generated(PAGE.read_text("utf-8"), name), "make generate"


@pytest.mark.parametrize("name", [name for name in TABLES if name.endswith("-remedies")])
def test_remedies_send_what_is_needed(name: str) -> None:
    """In the page, whose numbers the other test counts."""
    assert "**" not in generated(PAGE.read_text("utf-8"), name)


def test_a_deadline_ends_what_a_time_limit_cannot(engine: Sql, provider: Provider) -> None:
    """With max_execution_time every row of the block is sent; with deadline_s only what is in flight."""
    rows = 96
    call = f"Rerank(question, documents, 3, 'Cohere', '{provider.url}', 'k', '{{others}}')"
    query = f"SELECT count() FROM (SELECT {call} AS r FROM t PREWHERE id < {rows}) WHERE length(r) > 0"
    provider.script = lambda request: Reply(json=cohere(request).json, delay_s=0.2)
    said = engine.error(query.format(others="") + " SETTINGS max_execution_time = 0.1")
    assert "Timeout exceeded" in said
    assert len(provider.requests) == rows
    provider.reset()
    provider.script = lambda _: Reply(never=True)
    said = engine.error(query.format(others='{"deadline_s":0.3}'))
    assert said.startswith("Rerank: TIMEOUT: The rows of a block were not ranked within 0.3 s")
    assert len(provider.requests) == 64


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        shared = Sql(Path(folder))
        at = Provider()
        try:
            page = PAGE.read_text("utf-8")
            ready = filled(shared)
            for title in TABLES:
                page = with_generated(page, title, table(title, ready, at))
            PAGE.write_text(page, "utf-8")
        finally:
            at.close()
            shared.client.close()

"""Where Rerank runs in a distributed query (docs/cluster.md): what an initiator sends to shards that only listen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from conftest import Sql
from provider import Provider

from .shard import Asked, Shards, Stage

CALL = "Rerank(question, texts, 2, 'BM25', '', '', '')"
COLUMNS = "(id UInt64, question String, texts Array(String), text String)"


@pytest.fixture(scope="module")
def shards(sql: Sql) -> Iterator[Shards]:
    """Two shards, and the table `everywhere` that is read from both."""
    listening = Shards()
    remote = f"remote('{listening.addresses}', 'default', 'docs')"
    sql.client.command(f"CREATE TABLE everywhere {COLUMNS} AS {remote}")
    yield listening
    sql.client.command("DROP TABLE everywhere")
    listening.close()


def sent(sql: Sql, shards: Shards, query: str) -> Asked:
    """What the shards are asked for a query: both the same."""
    shards.asked.clear()
    with pytest.raises(DatabaseError, match="this shard only listens"):
        sql.rows(query)
    first, second = shards.asked
    assert first == second
    return first


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT id, {CALL} AS r FROM everywhere",
        f"SELECT DISTINCT {CALL} AS r FROM everywhere ORDER BY r",
        f"SELECT id FROM everywhere WHERE {CALL}[1].3 > 0.5",
        f"SELECT id, r.2 FROM everywhere ARRAY JOIN {CALL} AS r",
        f"SELECT id, {CALL} AS r FROM everywhere ORDER BY id LIMIT 3",
        f"SELECT max({CALL}[1].3) FROM everywhere",
        "SELECT id, BM25Rerank(question, texts, 2) AS r FROM everywhere",
        f"SELECT count() FROM (SELECT {CALL} AS r FROM everywhere) WHERE r[1].3 > 0.5",
    ],
)
def test_a_select_from_shards_runs_on_them(sql: Sql, shards: Shards, query: str) -> None:
    """They are sent the call, over columns of theirs; a wrapper comes as what it stands for."""
    asked = sent(sql, shards, query)
    assert "Rerank(`__table" in asked.sql and "BM25Rerank" not in asked.sql


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT id, {CALL} AS r FROM (SELECT * FROM everywhere)",
        f"SELECT id, {CALL} AS r FROM (SELECT id, question, texts FROM everywhere WHERE id < 9)",
        f"SELECT id, {CALL} AS r FROM (SELECT * FROM everywhere ORDER BY id LIMIT 3)",
        """SELECT r.2 FROM (SELECT groupArray(text) AS texts FROM (SELECT text FROM everywhere ORDER BY id LIMIT 50))
           ARRAY JOIN Rerank('q', texts, 2, 'BM25', '', '', '') AS r""",
        "SELECT id, Rerank('q', ['a', 'b'], 2, 'BM25', '', '', '') AS r FROM everywhere",
    ],
)
def test_over_a_subquery_it_runs_on_the_initiator(sql: Sql, shards: Shards, query: str) -> None:
    """Shards are asked for columns only; a call of constants goes to them as its answer."""
    assert "Rerank" not in sent(sql, shards, query).sql


def test_over_groups_it_runs_on_the_initiator_but_shards_must_know_it(sql: Sql, shards: Shards) -> None:
    """They read the whole query, and are to stop at the aggregation that the call is over."""
    query = (
        "SELECT question, Rerank(question, groupArray(text), 2, 'BM25', '', '', '') FROM everywhere GROUP BY question"
    )
    asked = sent(sql, shards, query)
    assert "Rerank(" in asked.sql and asked.stage == Stage.WITH_MERGEABLE_STATE


def test_limit_before_the_call(sql: Sql, shards: Shards) -> None:
    """With LIMIT beside the call, every shard ranks that many rows; in a subquery, it limits them once, for all."""
    beside = sent(sql, shards, f"SELECT id, {CALL} AS r FROM everywhere ORDER BY id LIMIT 3")
    assert "Rerank" in beside.sql and "LIMIT" in beside.sql and beside.stage == Stage.AFTER_AGGREGATION_AND_LIMIT


def test_a_call_of_constants_asks_once_for_all_shards(sql: Sql, shards: Shards, provider: Provider) -> None:
    """The provider is asked when the query is analysed, by the initiator."""
    call = f"Rerank('a', ['b', 'a'], 1, 'Cohere', '{provider.url}', 'a-key-for-tests', '')"
    asked = sent(sql, shards, f"SELECT id, {call} AS r FROM everywhere")
    assert "(1, 'a', 1" in asked.sql and len(provider.requests) == 1

"""What the SQL of Rerank promises, on each engine: chDB always, servers and two shards where Docker runs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import pytest

from clickhouse_rerank.commands.functions import statements
from conftest import ROOT, Session

from . import engines
from .engines import Engine, where
from .script import REFUSED

AWKWARD = (b"apple \0", b"apple \xc3(\xff", "apple ü😀\u2028".encode(), b"apple \"q' \\ \t\n\r", b"")


@pytest.fixture
def session(engine: Engine) -> Session:
    return engine.session


def call(engine: Engine, query: str = "'apple'", documents: str = "['pear', 'apple']", top_k: str = "2") -> str:
    """A call that goes to the engine's provider; the arguments are SQL."""
    return f"Rerank({query}, {documents}, {top_k}, 'Cohere', '{engine.provider_url}', 'a-key-for-tests', '')"


def test_result_and_type(engine: Engine, session: Session) -> None:
    """Best first, indexes from 0, and the type that MyScale's function has."""
    assert session.value(f"SELECT {call(engine)}") == [(1, "apple", 1.0), (0, "pear", 0.0)]
    assert session.value(f"SELECT toTypeName({call(engine)})") == "Array(Tuple(UInt32, String, Float32))"
    assert session.value(f"SELECT length({call(engine, top_k='1')})") == 1


def test_arguments_may_be_anything_that_casts(engine: Engine, session: Session) -> None:
    """Other integers, Nullable, LowCardinality and FixedString without NULL, columns, and bound parameters."""
    for top_k in ("1::UInt8", "1::Int64", "'1'", "toNullable(1)"):
        assert session.value(f"SELECT {call(engine, top_k=top_k)}.1") == [1], top_k
    for query in (
        "toNullable('apple')",
        "toLowCardinality('apple')",
        "toFixedString('apple', 5)",
        "materialize('apple')",
    ):
        assert session.value(f"SELECT {call(engine, query)}[1].1") == 1, query
    for documents in (
        "[toNullable('pear'), 'apple']",
        "[toLowCardinality('pear'), 'apple']",
        "splitByChar(',', 'pear,apple')",
    ):
        assert session.value(f"SELECT {call(engine, documents=documents)}[1].2") == "apple", documents
    bound = call(engine, "{q:String}", "{d:Array(String)}", "{k:UInt32}")
    assert session.value(f"SELECT {bound}.1", q="apple", d=["pear", "apple"], k=1) == [1]


def test_nothing_to_rank_is_nothing(engine: Engine, session: Session) -> None:
    """No documents or a top_k of 0 give []."""
    assert session.value(f"SELECT {call(engine, documents='[]')}") == []
    assert session.value(f"SELECT {call(engine, top_k='0')}") == []


def test_nan_means_not_scored(engine: Engine, session: Session) -> None:
    """Blank documents rank last, in input order, with nan."""
    blanks = "['', 'pear', ' ', 'apple']"
    result = session.value(f"SELECT {call(engine, documents=blanks, top_k='9')}")
    assert isinstance(result, list)
    assert [index for index, _, _ in result] == [3, 1, 0, 2]
    assert [math.isnan(score) for _, _, score in result] == [False, False, True, True]
    assert (
        session.value(f"SELECT countEqual(arrayMap(r -> isNaN(r.3), {call(engine, documents=blanks, top_k='9')}), 1)")
        == 2
    )


def test_documents_keep_their_bytes(engine: Engine, session: Session) -> None:
    """NUL, invalid UTF-8, quotes and line feeds come back as they went."""
    documents = ", ".join(f"unhex('{document.hex()}')" for document in AWKWARD)
    result = call(engine, documents=f"[{documents}]", top_k="9")
    rows = session.rows(f"SELECT r.1, hex(r.2) FROM (SELECT {result} AS rs) ARRAY JOIN rs AS r")
    assert {index: bytes.fromhex(text) for index, text in rows} == dict(enumerate(AWKWARD))


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        ("'', ['a'], 1, 'BM25', '', '', ''", "Rerank: BAD_ARGUMENT: The query is empty."),
        ("'q', ['a'], 1, 'Choere', '', '', ''", "Rerank: UNKNOWN_PROVIDER: "),
        ("'q', ['a'], 1, 'BM25', '', '', '{{\"model\":\"m\"}}'", "Rerank: BAD_OTHERS: "),
        ("'q', ['a'], 1, 'Cohere', '', 'cred:nobody', ''", "Rerank: CREDENTIAL: "),
        ("'q', ['a'], 1, 'Cohere', 'https://169.254.169.254/', 'a-key-for-tests', ''", "Rerank: BLOCKED: "),
        (
            "'refuse me', ['a'], 1, 'Cohere', '{url}', 'a-key-for-tests', ''",
            "Rerank: AUTH: Cohere answered 401 (invalid api token).",
        ),
    ],
)
def test_errors_are_errors_of_sql(engine: Engine, session: Session, arguments: str, begins: str) -> None:
    """The query fails with the worker's sentence, and the next one is answered."""
    assert REFUSED == "refuse me"
    assert session.error(f"SELECT Rerank({arguments.format(url=engine.provider_url)})").startswith(begins)
    assert session.value(f"SELECT {call(engine)}[1].1") == 1


def test_many_rows_keep_their_order(engine: Engine, session: Session) -> None:
    """A thousand rows in blocks of a hundred, each with its own answer."""
    documents = "['pear', toString(number)]"
    rows = session.rows(
        f"SELECT number, {call(engine, 'toString(number)', documents, '1')}[1].2 FROM numbers(1000) ORDER BY number "
        "SETTINGS max_block_size = 100"
    )
    assert rows == [(number, str(number)) for number in range(1000)]


def test_wrappers_are_there(engine: Engine, session: Session) -> None:
    """One for each provider, and they work in place of the function."""
    made = {name for name, _ in statements()}
    there = {name for (name,) in session.rows("SELECT name FROM system.functions WHERE origin = 'SQLUserDefined'")}
    assert made <= there
    assert session.value("SELECT BM25Rerank('red apple', ['green pear', 'red apple'], 1)[1].1") == 1


COLUMNS = "(id UInt64, question String, text String, emb Array(Float32))"


@pytest.fixture
def docs(engine: Engine, session: Session) -> Iterator[str]:
    """A table with eight rows on each node: [id, 1] as embeddings, `apple N` as texts, one question for each two."""
    session.client.command(f"DROP TABLE IF EXISTS suite {engine.on_cluster} SYNC")
    session.client.command(f"CREATE TABLE suite {engine.on_cluster} {COLUMNS} ENGINE = MergeTree ORDER BY id")
    fill = "SELECT number, concat('apple ', intDiv(number, 2)), concat('apple ', number), [number, 1] FROM numbers(8)"
    session.client.command(f"INSERT INTO suite {fill}")
    if len(engine.nodes) > 1:
        session.client.command(
            f"INSERT INTO FUNCTION remote('shard2', currentDatabase(), suite, 'default', '{engines.PASSWORD}') {fill}"
        )
    yield "suite"
    session.client.command(f"DROP TABLE suite {engine.on_cluster} SYNC")


def test_rag_in_one_query(engine: Engine, session: Session, docs: str) -> None:
    """The nearest of a vector search, the best of them by the reranker, and their ids."""
    rows = session.rows(
        f"""
        SELECT ids[r.1 + 1] AS id, r.2, r.3
        FROM (
            SELECT groupArray(id) AS ids, groupArray(text) AS texts
            FROM (SELECT id, text FROM {docs} ORDER BY L2Distance(emb, [6., 1.]), id LIMIT 3)
        )
        ARRAY JOIN {call(engine, "'apple 7'", "texts", "1")} AS r
        """
    )
    assert rows == [(7, "apple 7", 1.0)]


def test_rag_over_all_shards(engine: Engine, session: Session, docs: str) -> None:
    """Candidates are gathered from every shard, and ranked once, together, where the query was asked."""
    rows = session.rows(
        f"""
        SELECT DISTINCT r.2, r.3
        FROM (
            SELECT groupArray(text) AS texts
            FROM (SELECT id, text FROM {engine.all_shards(docs)} ORDER BY L2Distance(emb, [6., 1.]), id LIMIT 6)
        )
        ARRAY JOIN {call(engine, "'apple 7'", "texts", "2")} AS r
        """
    )
    assert rows == [("apple 7", 1.0)]


def test_selected_from_shards_it_runs_on_them(engine: Engine, session: Session, docs: str) -> None:
    """Each shard asks for its own rows."""
    asked = f"SELECT DISTINCT {where(engine)} AS node FROM {engine.all_shards(docs)} ORDER BY node"
    assert [int(node) for (node,) in session.rows(asked)] == list(engine.nodes)


@pytest.mark.parametrize("inner", ["SELECT question FROM {all}", "SELECT question FROM {all} ORDER BY id LIMIT 16"])
def test_over_a_subquery_it_runs_where_the_query_was_asked(
    engine: Engine, session: Session, docs: str, inner: str
) -> None:
    """The initiator asks for the rows of all shards."""
    rows = session.rows(f"SELECT {where(engine)} AS node FROM ({inner.format(all=engine.all_shards(docs))})")
    assert [int(node) for (node,) in rows] == [1] * 16


def test_a_call_of_constants_runs_where_the_query_was_asked(engine: Engine, session: Session, docs: str) -> None:
    """Shards get its answer as a literal."""
    constant = where(engine).replace("question", "'q'")
    rows = session.rows(f"SELECT id, {constant} AS node FROM {engine.all_shards(docs)}")
    assert [int(node) for _, node in rows] == [1] * 16


def test_a_distributed_table_is_like_its_shards(engine: Engine, session: Session, docs: str) -> None:
    """ENGINE = Distributed, where there is a cluster to name."""
    if len(engine.nodes) == 1:
        pytest.skip(f"{engine.name} is no cluster: nothing that ENGINE = Distributed could name")
    made = f"ENGINE = Distributed('{{cluster}}', currentDatabase(), {docs})"
    session.client.command(f"CREATE TABLE everywhere {engine.on_cluster} AS {docs} {made}")
    try:
        asked = f"SELECT DISTINCT {where(engine)} AS node FROM everywhere ORDER BY node"
        assert [int(node) for (node,) in session.rows(asked)] == list(engine.nodes)
        assert [
            int(node) for (node,) in session.rows(f"{asked[: asked.index('FROM')]} FROM (SELECT * FROM everywhere)")
        ] == [1]
    finally:
        session.client.command(f"DROP TABLE everywhere {engine.on_cluster} SYNC")


def test_in_a_view_it_runs_on_the_shards(engine: Engine, session: Session, docs: str) -> None:
    """And so does a wrapper, which is sent by its name."""
    view = f"view(SELECT {where(engine)} AS node, BM25Rerank(text, [text], 1)[1].1 AS first FROM {docs} LIMIT 3)"
    rows = session.rows(f"SELECT DISTINCT node, first FROM {engine.source(view)} ORDER BY node")
    assert rows == [(node, 0) for node in engine.nodes]


PAGE = (ROOT / "docs" / "cluster.md").read_text("utf-8")
BLOCKS = re.findall(r"<!-- engine: cluster -->\n```sql\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_on_clusters(engine: Engine, session: Session) -> None:
    """Its statements run on a cluster in their order; other engines read them."""
    assert len(BLOCKS) > 5
    made = [f"DROP TABLE IF EXISTS {table} {engine.on_cluster} SYNC" for table in ("documents", "documents_all")]
    shown = [statement for block in BLOCKS for statement in re.split(r";\n", block.strip())]
    for statement in (*made, *shown, *made) if len(engine.nodes) > 1 else ():
        session.client.command(statement)
    for statement in shown:
        assert session.rows(f"EXPLAIN AST {statement}"), statement

"""`others.dry_run` tells what a call would send, sends nothing, and is right."""

from __future__ import annotations

import asyncio
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

import engine_bytes
from asking import DOCUMENTS, KEY, QUERY, asked, code, outcome, row, settings
from clickhouse_rerank.config.credentials import Credential
from clickhouse_rerank.config.prices import Price
from clickhouse_rerank.config.settings import Limits, Settings
from clickhouse_rerank.config.tables import CacheSettings
from clickhouse_rerank.engine.formats import FORMATS
from clickhouse_rerank.errors import RerankError
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.types import Row, Secret
from conftest import ROOT, Sql, Worker
from provider import Provider, Reply, Request, cohere

PRICES = {
    ("Cohere", "rerank-v3.5"): Price(search_unit=0.002),
    ("Voyage", "rerank-2.5"): Price(million_tokens=0.05),
    ("TEI", ""): Price(request=0.5),
}


def dry(one: Row) -> Row:
    """The row, asking only what it would send."""
    return replace(one, others=json.dumps(json.loads(one.others or "{}") | {"dry_run": True}))


def told(one: Row, within: Settings | None = None) -> dict[str, Any]:
    text = Reranker(within or settings()).dry_run(dry(one))
    assert text is not None
    return json.loads(text)


def refused(one: Row, within: Settings | None = None) -> RerankError:
    with pytest.raises(RerankError) as raised:
        Reranker(within or settings()).dry_run(dry(one))
    return raised.value


@pytest.mark.parametrize("name", FORMATS)
def test_sql_gets_one_tuple_with_the_numbers(sql: Sql, provider: Provider, name: str) -> None:
    """Whatever top_k is, for each row; the text is JSON, the score nan, and nobody is asked."""
    call = (
        f"{sql.function(name)}('one zebra', arrayMap(i -> concat('zebra ', toString(i % (number + 2))), range(9)), 2, "
        f"""'Cohere', '{provider.url}', 'the-key', '{{"dry_run":true,"batch_size":2}}')"""
    )
    query = (
        "SELECT length(r), r[1].1, isNaN(r[1].3), JSONExtract(r[1].2, 'documents', 'UInt64'), "
        "JSONExtract(r[1].2, 'requests', 'UInt64'), JSONExtract(r[1].2, 'cost', 'Nullable(Float64)'), "
        f"JSONExtractString(r[1].2, 'cost') FROM (SELECT {call} AS r FROM numbers(3))"
    )
    assert sql.rows(query) == [(1, 0, 1, n, -(-n // 2), None, "unknown") for n in (2, 3, 4)]
    assert provider.connections == 0


def test_the_text_has_all_that_the_documentation_says() -> None:
    """Names and order."""
    one = row("https://api.cohere.com/v2/rerank", documents=["abcd" * 100, "x", "x", " "], query="abcd" * 25)
    given = replace(settings(), prices=PRICES)
    assert told(one, given) == {
        "provider": "Cohere", "model": "rerank-v3.5", "documents": 2, "cached": 0, "requests": 1,
        "bytes": told(one)["bytes"], "tokens": 125 + 26, "search_units": 1, "cost": 0.002,
    }  # fmt: skip
    assert told(one)["cost"] == "unknown"


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    texts = st.sampled_from(["a", "b", "c", "zebra one", "", " ", "x" * 40_000, "\udcff", "é" * 900])
    return {
        "documents": draw(st.lists(texts, max_size=90)),
        "top_k": draw(st.integers(0, 5)),
        "others": {"batch_size": size} if (size := draw(st.integers(0, 20))) else {},
        "provider": draw(st.sampled_from(["Cohere", "TEI", "LocalAI", "Pinecone", "BM25"])),
        "before": draw(st.booleans()),
    }


@given(calls())
@profile(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_what_is_sent(provider: Provider, call: dict[str, Any]) -> None:
    """Requests and bytes to the byte; what was asked just before is known; a refusal is the same refusal."""
    provider.reset(_answering)
    name, before = call.pop("provider"), call.pop("before")
    if name == "LocalAI":
        call["others"] |= {"model": "m"}
    if name == "BM25":
        call["others"].pop("batch_size", None)
    one = row(provider.url if name != "BM25" else "", provider=name, key=KEY if name != "BM25" else "", **call)

    async def run() -> tuple[Any, Any]:
        reranker = Reranker(replace(settings(), cache=CacheSettings(memory_s=60)))
        try:
            if before:
                await outcome(reranker, one)
                provider.reset(_answering)
            try:
                text = reranker.dry_run(dry(one))
            except RerankError as error:
                text = error.code
            assert provider.requests == []
            return text, await outcome(reranker, one)
        finally:
            await reranker.aclose()

    text, result = asyncio.run(run())
    if isinstance(result, RerankError):
        assert text == result.code
        return
    seen = json.loads(text)
    assert seen["requests"] == len(provider.requests)
    assert seen["bytes"] == sum(len(request.body) for request in provider.requests)
    assert seen["cached"] == (seen["documents"] if before and name != "BM25" else 0)
    if name == "BM25" or not seen["requests"]:
        assert (seen["requests"], seen["bytes"], seen["cost"]) == (0, 0, 0)


def _answering(request: Request) -> Reply:
    asked_for = request.json
    if "texts" in asked_for:
        return Reply(json=[{"index": i, "score": 0.5} for i in range(len(asked_for["texts"]))])
    if isinstance(asked_for["documents"][0], dict):
        return Reply(json={"data": [{"index": i, "score": 0.5} for i in range(len(asked_for["documents"]))]})
    return cohere(request)


def test_known_documents_of_a_file_are_not_sent(provider: Provider, tmp_path: Path) -> None:
    """What the pool knows, the dry run counts as known."""
    within = settings(cache=CacheSettings(path=str(tmp_path / "c" / "scores")))
    asked(row(provider.url), within=within)
    seen = told(row(provider.url, documents=[*DOCUMENTS, "new"]), within)
    assert (seen["documents"], seen["cached"], seen["requests"]) == (5, 4, 1)
    seen = told(row(provider.url, documents=[*DOCUMENTS, "new"], others={"cache": False}), within)
    assert (seen["documents"], seen["cached"], seen["requests"]) == (5, 0, 1)


@pytest.mark.parametrize(
    ("provider_name", "documents", "cost"),
    [
        ("Cohere", ["d"] * 3, 0.002),
        ("Cohere", [f"document {i}" for i in range(100)], 0.002),
        ("Cohere", [f"document {i}" for i in range(101)], 0.004),
        ("Cohere", [f"document {i}" * 400 for i in range(60)], 0.004),  # each counts for three
        ("Voyage", ["d" * 4_000_000], 0.05),
        ("TEI", [str(i) for i in range(33)], 1.0),
        ("Jina", ["d"], "unknown"),
        ("Jina", [], 0),
        ("BM25", ["d"], 0),
    ],
)
def test_the_cost_is_by_the_price(provider_name: str, documents: list[str], cost: object) -> None:
    """By units of a hundred documents, by tokens, by requests; unknown without a price; nothing costs nothing."""
    url = {"TEI": "http://localhost:8080"}.get(provider_name, "")
    one = row(url, provider=provider_name, key="" if provider_name == "BM25" else KEY, documents=documents, query="q")
    seen = told(one, replace(settings(), prices=PRICES))["cost"]
    assert seen == cost or math.isclose(seen, float(str(cost)), rel_tol=1e-4)


def test_what_would_be_refused_is_refused(provider: Provider) -> None:
    """Arguments, keys, credentials, hosts, limits: the same sentence as without it, and nobody is asked."""
    credential = Credential("prod", "cohere", Secret("k"), "https://api.cohere.com")
    within = replace(settings(max_documents=5, max_request_bytes=2000), credentials={"prod": credential})
    wrong = {
        "UNKNOWN_PROVIDER": row(provider.url, provider="Nobody"),
        "BAD_KEY": row(provider.url, key="a b"),
        "BAD_OTHERS": row(provider.url, others={"modle": "m"}),
        "CREDENTIAL": row(provider.url, key="cred:prod"),
        "BLOCKED": row("http://internal.example/v1/rerank"),
        "BAD_ARGUMENT": row(provider.url, query=" "),
        "TOO_MANY_DOCUMENTS": row(provider.url, documents=["d"] * 6),
        "TOO_LARGE": row(provider.url, documents=["d" * 3000], others={"on_error": "passthrough"}),
    }
    for expected, one in wrong.items():
        error = refused(one, within)
        assert error.code == expected
        if expected != "TOO_LARGE":
            assert [str(error)] == [str(result) for result in asked(one, within=within)]
    listwise = row("", provider="Jina", documents=["a", "b"], others={"batch_size": 1})
    assert refused(listwise).code == code(asked(listwise)[0]) == "BAD_ARGUMENT"
    assert provider.connections == 0


def test_it_belongs_beside_fallback() -> None:
    """In an entry it would have no meaning, and a call that was not to be sent would be."""
    one = row("https://api.cohere.com", others={"fallback": [{"provider": "BM25", "dry_run": True}]})
    assert refused(one).message == "An entry of others.fallback has dry_run. It belongs beside fallback."
    assert told(replace(one, others='{"fallback":[{"provider":"BM25"}]}'))["provider"] == "Cohere"


def test_only_true_is_one(provider: Provider) -> None:
    """false is a call; anything else is an error."""
    assert not Reranker(settings()).options(row(provider.url, others={"dry_run": False})).dry_run
    (error,) = asked(row(provider.url, others={"dry_run": 1}))
    assert str(error) == "Rerank: BAD_OTHERS: others.dry_run must be true or false."
    assert len(provider.requests) == 0


def test_limits_by_the_minute_are_not_spent(provider: Provider, tmp_path: Path) -> None:
    """A credential with one request a minute has it after many dry runs."""
    credential = Credential("one", "cohere", Secret("k"), provider.url, requests_per_minute=1)
    limits = Limits(counters=str(tmp_path / "counters"))
    within = replace(settings(), credentials={"one": credential}, limits=limits)
    for _ in range(3):
        told(row("", key="cred:one"), within)
    assert code(asked(row("", key="cred:one"), within=within)[0]) == "OK"


def test_rows_of_both_kinds_mix_in_a_chunk(worker: Any, provider: Provider) -> None:
    """Each row has its answer, in order."""
    one: Worker = worker("--embedded")
    plain = row(provider.url)
    one.send(engine_bytes.chunk([plain, dry(plain), plain, dry(plain)], "JSONEachRow"))
    results = [json.loads(line)["result"] for line in one.lines(4)]
    assert results[0] == results[2] == [[0, "zebra one", 1.0], [2, "one two zebra", 1.0]]
    assert results[1] == results[3] and len(results[1]) == 1
    assert json.loads(results[1][0][1])["requests"] == len(provider.requests) == 1
    assert QUERY not in results[1][0][1]


def test_the_page_shows_what_comes(sql: Sql) -> None:
    """The first query of the page's section gives the text under it."""
    page = (ROOT / "docs" / "usage.md").read_text("utf-8")
    section = page[page.index("## Before anything is spent") :]
    query, shown = re.findall(r"```(?:sql)?\n(.*?)\n```", section, re.DOTALL)[:2]
    assert sql.value(query.rstrip(";")) == shown

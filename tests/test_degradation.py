"""Rows that may fail without failing the query: on_error and fallback, and what they must not hide."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

import engine_bytes
from asking import DOCUMENTS, KEY, RIGHT, asked, asked_together, code, float32, row, settings
from clickhouse_rerank.types import Row
from conftest import Sql, Worker
from provider import Provider, Reply, Request, cohere

pytestmark = pytest.mark.usefixtures("dialled")
ASIS = "[(0, nan), (1, nan)]"
"""What passthrough makes of `row`."""
FAILURES = {
    "PROVIDER": Reply(500, {"message": "down"}, headers={"retry-after-ms": "1"}),
    "RATE_LIMIT": Reply(429, {"message": "slow down"}, headers={"retry-after": "9999"}),
    "BAD_REQUEST": Reply(400, {"message": "no"}),
    "TOO_LARGE": Reply(413, {"message": "no"}),
    "PROTOCOL": Reply(body=b"<html>"),
    "CONNECT": Reply(reset_after=0),
    "TIMEOUT": Reply(never=True),
}
MISTAKES = {
    "AUTH": {"others": {}},
    "NOT_FOUND": {"others": {}},
    "REDIRECT": {"others": {}},
    "BAD_ARGUMENT": {"query": " "},
    "BAD_KEY": {"key": ""},
    "CREDENTIAL": {"key": "cred:nobody"},
    "UNKNOWN_PROVIDER": {"provider": "nobody"},
}
STATUSES = {"AUTH": 401, "NOT_FOUND": 404, "REDIRECT": 302}


def degraded(url: str, how: str, **more: Any) -> Row:
    others = {"on_error": how, "timeout_s": 0.5} | more.pop("others", {})
    return row(url, others=others, **more)


@pytest.mark.parametrize("name", FAILURES)
def test_on_error_decides_what_a_failed_row_gives(provider: Provider, name: str) -> None:
    """throw, and no on_error at all, raise; empty gives nothing; passthrough the first documents, unscored."""
    provider.script = lambda _: FAILURES[name]
    plain = row(provider.url, others={"timeout_s": 0.5})
    results = [*(asked(degraded(provider.url, how))[0] for how in ("throw", "empty", "passthrough")), *asked(plain)]
    assert [code(results[0]), results[1], repr(results[2]), code(results[3])] == [name, [], ASIS, name]


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("how", ["empty", "passthrough"])
def test_a_mistake_of_the_caller_always_throws(provider: Provider, name: str, how: str) -> None:
    """A wrong key, path, name or argument must not look like a bad ranking."""
    provider.script = lambda _: Reply(STATUSES.get(name, 200), {})
    (result,) = asked(degraded(provider.url, how, **MISTAKES[name]))
    assert code(result) == name


@pytest.mark.parametrize("how", ["empty", "passthrough"])
def test_a_blocked_host_always_throws(how: str) -> None:
    """What the operator forbids is said."""
    (result,) = asked(degraded("https://10.0.0.1/", how))
    assert code(result) == "BLOCKED"


@pytest.mark.parametrize("others", [{"on_error": "ignore"}, {"on_error": 1}, {"fallback": {}}, {"fallback": [1]}])
def test_a_wrong_value_names_the_key(provider: Provider, others: dict[str, Any]) -> None:
    """Neither key takes anything but what it is documented to take."""
    (result,) = asked(row(provider.url, others=others))
    assert code(result) == "BAD_OTHERS"
    assert f"others.{next(iter(others))}" in str(result)
    assert not provider.requests


@pytest.mark.parametrize("how", ["empty", "passthrough"])
def test_passing_through_counts_as_top_k_does(provider: Provider, how: str) -> None:
    """At most top_k documents, blank ones included, in input order."""
    provider.script = lambda _: FAILURES["BAD_REQUEST"]
    rows = [degraded(provider.url, how, documents=["", "b", "c"], top_k=k) for k in (1, 3, 9)]
    lengths = {"empty": [0, 0, 0], "passthrough": [1, 3, 3]}[how]
    results = asked(*rows)
    assert [len(result) for result in results if isinstance(result, list)] == lengths
    assert all([i for i, _ in result] == list(range(len(result))) for result in results)
    assert all(math.isnan(score) for result in results for _, score in result)


@pytest.mark.fault("F18")
def test_64_rows_without_an_answer_give_nothing_and_the_others_are_right(
    worker: Callable[..., Worker], provider: Provider
) -> None:
    """One deadline for all rows of a silent endpoint; in the same chunk another endpoint's rows are answered."""
    provider.script = lambda request: Reply(never=True) if request.path == "/silent/v1/rerank" else cohere(request)
    silent = degraded(f"{provider.url}/silent/v1/rerank", "empty", others={"timeout_s": 1})
    rows = [row for i in range(64) for row in (_asking(silent, f"one {i}"), _asking(row_right(provider), f"one {i}"))]
    one = worker("--embedded")
    began = time.monotonic()
    one.send(engine_bytes.chunk(rows, "JSONEachRow"))
    results = [json.loads(line)["result"] for line in one.lines(128)]
    assert time.monotonic() - began < 10
    assert results[::2] == [[]] * 64
    assert results[1::2] == [[[0, DOCUMENTS[0], 0.5], [2, DOCUMENTS[2], 0.5]]] * 64


def row_right(provider: Provider) -> Row:
    return row(provider.url)


def _asking(one: Row, query: str) -> Row:
    return Row(query, one.documents, one.top_k, one.provider, one.base_url, one.api_key, one.others)


@pytest.mark.parametrize("function", ["Rerank", "RerankTabSeparated", "RerankRowBinary"])
@pytest.mark.parametrize("how", ["empty", "passthrough"])
def test_only_the_failed_row_is_degraded_in_sql(sql: Sql, provider: Provider, function: str, how: str) -> None:
    """Of ten rows one fails: it alone is degraded, isNaN finds it, and the query works."""

    def script(request: Request) -> Reply:
        return FAILURES["BAD_REQUEST"] if request.json["query"] == "one 3" else cohere(request)

    provider.script = script
    documents = ", ".join(f"'{document}'" for document in DOCUMENTS)
    rows = sql.rows(
        f"""SELECT arrayMap(r -> (r.1, r.2, if(isNaN(r.3), -1, r.3)), ranked) FROM (SELECT {function}(
            'one ' || toString(number), [{documents}], 2, 'Cohere', '{provider.url}', 'k', '{{"on_error":"{how}"}}')
            AS ranked FROM numbers(10))"""
    )
    right = [(0, DOCUMENTS[0], 0.5), (2, DOCUMENTS[2], 0.5)]
    failed = [] if how == "empty" else [(0, DOCUMENTS[0], -1), (1, DOCUMENTS[1], -1)]
    assert [ranked for (ranked,) in rows] == [failed if i == 3 else right for i in range(10)]


# --- fallback


@pytest.fixture
def second() -> Any:
    """Another provider on loopback."""
    server = Provider()
    yield server
    server.close()


def entry(url: str, **more: Any) -> dict[str, Any]:
    return {"provider": "Jina", "base_url": url, "api_key": "the-second-key"} | more


@pytest.mark.parametrize("name", ["PROVIDER", "RATE_LIMIT", "PROTOCOL", "CONNECT"])
def test_a_failed_provider_leaves_the_row_to_the_next(provider: Provider, second: Provider, name: str) -> None:
    """The next entry is asked with its own key and model, and its answer is the row's."""
    provider.script = lambda _: FAILURES[name]
    (result,) = asked(row(provider.url, others={"fallback": [entry(second.url, model="m2")]}))
    assert code(result) == "OK"
    assert second.requests[0].headers["authorization"] == "Bearer the-second-key"
    assert second.requests[0].json["model"] == "m2"
    assert all(KEY not in str(request) for request in second.requests)


def test_entries_are_tried_in_order_until_one_answers(provider: Provider, second: Provider) -> None:
    """An entry behind the one that answers is not asked; where none answers, the row fails."""
    provider.script = lambda _: FAILURES["PROTOCOL"]
    entries = [entry(f"{provider.url}/second"), entry(second.url), entry(f"{provider.url}/fourth")]
    assert [code(result) for result in asked(row(provider.url, others={"fallback": entries}))] == ["OK"]
    assert [request.path for request in provider.requests] == ["/v1/rerank", "/second/v1/rerank"]
    second.script = provider.script
    (result,) = asked(row(provider.url, others={"fallback": entries}))
    assert code(result) == "PROTOCOL"
    assert provider.requests[-1].path == "/fourth/v1/rerank"


@pytest.mark.parametrize("status", [401, 404, 400])
def test_a_refusal_is_not_passed_on(provider: Provider, second: Provider, status: int) -> None:
    """What the caller must change, or what every provider would refuse, is not hidden by asking another one."""
    provider.script = lambda _: Reply(status, {"message": "no"})
    (result,) = asked(row(provider.url, others={"fallback": [entry(second.url)]}))
    assert code(result) in ("AUTH", "NOT_FOUND", "BAD_REQUEST")
    assert not second.requests


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": "nobody"},
        {"base_url": "ftp://x"},
        {"api_key": ""},
        {"api_key": "a b"},
        {"nonsense": 1},
        {"timeout_s": "x"},
        {"fallback": []},
    ],
)
def test_a_wrong_entry_is_an_error_up_front(provider: Provider, second: Provider, wrong: dict[str, Any]) -> None:
    """A mistake in an entry that may never be needed is told before anything is asked."""
    (result,) = asked(row(provider.url, others={"fallback": [entry(second.url) | wrong]}))
    assert code(result) in ("UNKNOWN_PROVIDER", "BAD_URL", "BAD_KEY", "BAD_OTHERS")
    assert not provider.requests and not second.requests


def test_the_deadline_is_the_rows(provider: Provider, second: Provider) -> None:
    """A silent first provider and a silent second one take one deadline together."""
    provider.script = second.script = lambda _: Reply(never=True)
    rows = [
        row(provider.url, query=f"one {i}", others={"timeout_s": 1, "fallback": [entry(second.url)]}) for i in range(8)
    ]
    results = asked_together(rows, within=settings(row_deadline_s=4.0))
    assert {code(result) for result in results} == {"TIMEOUT"}
    # The last one had what the first one left, and no second of its own.
    assert all(float(re.findall(r"did not answer within ([0-9.]+) s", str(result))[0]) <= 0.5 for result in results)


def test_an_entrys_options_are_its_own(provider: Provider, second: Provider) -> None:
    """What is done with scores depends on whose they are."""
    provider.script = lambda _: FAILURES["PROTOCOL"]
    fallback = [entry(second.url, normalize="sigmoid")]
    (result,) = asked(row(provider.url, others={"fallback": fallback, "min_score": 0.99}))
    sigmoid_1 = float32(1 / (1 + math.exp(-1)))
    assert result == [(0, sigmoid_1), (2, sigmoid_1)]


def test_a_row_that_all_providers_fail_is_degraded(provider: Provider, second: Provider) -> None:
    """on_error applies to what the last one leaves."""
    provider.script = second.script = lambda _: FAILURES["PROTOCOL"]
    results = [
        asked(row(provider.url, others={"on_error": how, "fallback": [entry(second.url)]}))[0]
        for how in ("empty", "passthrough")
    ]
    assert [repr(result) for result in results] == ["[]", ASIS]
    assert len(second.requests) == 2
    provider.script = cohere
    assert asked(row(provider.url, others={"on_error": "empty", "fallback": [entry(second.url)]})) == [RIGHT]

"""Scores that were paid for are not paid for again, and nobody can tell from an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from asking import DOCUMENTS, RIGHT, asked, row, settings
from clickhouse_rerank.cache import keys
from clickhouse_rerank.cache.scores import Cache
from clickhouse_rerank.commands import check
from clickhouse_rerank.commands.install.paths import InstallPaths
from clickhouse_rerank.config.settings import Settings, parse
from clickhouse_rerank.config.tables import CacheSettings, LogSettings
from clickhouse_rerank.errors import CallerError
from clickhouse_rerank.request.endpoint import Endpoint, resolve
from clickhouse_rerank.request.others import Options
from clickhouse_rerank.types import Call, CallScores, Row, Scores
from conftest import Worker
from own_engine import printed
from provider import Provider, Reply, Request, cohere
from shared_cache import answer, configured, shared

Start = Callable[..., Worker]


def sent(provider: Provider) -> list[list[str]]:
    """The documents of each request, which is then forgotten."""
    found = [request.json["documents"] for request in provider.requests]
    provider.requests = []
    return found


def test_sql_that_names_a_call_often_asks_once(provider: Provider, tmp_path: Path) -> None:
    """EXPLAIN, CREATE VIEW, a query with two uses of an alias, and the query again: one request by default."""
    call = f"Rerank('a', ['b', 'a'], 2, 'Cohere', '{provider.url}', 'k', '')"
    statements = (
        f"EXPLAIN SELECT {call}",
        f"CREATE VIEW ranked AS SELECT {call} AS r",
        f"SELECT {call} AS r, r[1].2, r.3",
        "SELECT r FROM ranked",
    )
    assert printed(*statements, timeout_s=60, **configured(tmp_path)).endswith(
        "[(1,'a',1),(0,'b',0)]\ta\t[1,0]\n[(1,'a',1),(0,'b',0)]\n"
    )
    assert len(provider.requests) == 1


def test_a_worker_remembers_its_calls_by_default(worker: Start, provider: Provider, tmp_path: Path) -> None:
    """The same call again costs nothing; one that asks something else, or refuses the cache, asks."""
    one = worker("--embedded", **configured(tmp_path))
    url = provider.url
    assert answer(one, row(url)) == answer(one, row(url)) == [RIGHT]
    assert len(sent(provider)) == 1
    for another in (
        row(url, top_k=3),
        row(url, key="another"),
        row(url, query="zebra"),
        row(url, others={"max_chunks_per_doc": 1}),
    ):
        answer(one, another)
    assert len(sent(provider)) == 4
    for _ in range(2):
        assert answer(one, row(url, others={"cache": False})) == [RIGHT]
    assert len(sent(provider)) == 2


def test_cache_false_is_not_remembered_either(provider: Provider) -> None:
    """The call after one that refused the cache asks."""
    refusing, plain = row(provider.url, others={"cache": False}), row(provider.url)
    assert asked(refusing, plain, plain, within=settings(cache=CacheSettings())) == [RIGHT] * 3
    assert len(provider.requests) == 2


def test_memory_off_means_off(provider: Provider) -> None:
    """With memory_s = 0 and no file each call asks."""
    assert asked(row(provider.url), row(provider.url), within=settings()) == [RIGHT] * 2
    assert len(provider.requests) == 2


def test_workers_share_a_file(worker: Start, provider: Provider, tmp_path: Path) -> None:
    """What one worker paid for while it lives, and as it ends, is known to the next."""
    first = worker("--embedded", **shared(tmp_path))
    assert answer(first, row(provider.url)) == [RIGHT]
    answer(first, row(provider.url, query="two"))  # now the first chunk's scores are written: it was idle between
    second = worker("--embedded", **shared(tmp_path))
    sent(provider)
    assert answer(second, row(provider.url)) == [RIGHT]
    assert sent(provider) == []
    answer(first, row(provider.url, query="three"))
    assert first.finish() == (0, b"", b"")
    sent(provider)
    answer(second, row(provider.url, query="three"), row(provider.url, query="two"))
    assert sent(provider) == []
    assert second.finish() == (0, b"", b"")
    assert (tmp_path / "log").read_text() == ""
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["scores"]  # the last one leaves it tidy


def test_a_changed_list_pays_for_its_new_documents(provider: Provider, tmp_path: Path) -> None:
    """One new document is a request with one document; fewer, another order or another top_k are none."""
    within = settings(cache=CacheSettings(memory_s=0, path=str(tmp_path / "scores")))
    url, new = provider.url, "one zebra more"
    first, again, more, turned = (
        row(url),
        row(url, top_k=4),
        row(url, documents=[new, *DOCUMENTS], top_k=2),
        row(
            url,
            documents=[DOCUMENTS[3], "", DOCUMENTS[2], new, DOCUMENTS[2]],
            others={"min_score": 0.5, "batch_size": 1},
        ),
    )
    assert asked(first, again, more, turned, within=within) == [
        RIGHT,
        [(0, 1.0), (2, 1.0), (1, 0.5), (3, 0.0)],
        [(0, 1.0), (1, 1.0)],
        [(2, 1.0), (3, 1.0)],
    ]
    assert [request.json["top_n"] for request in provider.requests] == [4, 1]
    assert sent(provider) == [list(DOCUMENTS), [new]]


def test_a_listwise_model_is_kept_by_call(provider: Provider, tmp_path: Path) -> None:
    """The same list again is free; a list that differs in one document is asked about as a whole."""
    within = settings(cache=CacheSettings(memory_s=0, path=str(tmp_path / "scores")))
    plain, more = (row(provider.url, provider="Jina", documents=list(DOCUMENTS[:n])) for n in (3, 4))
    cut = row(provider.url, provider="Jina", documents=list(DOCUMENTS[:3]), others={"batch_size": 2})
    answers = asked(plain, plain, more, cut, within=within)
    assert answers[:3] == [RIGHT] * 3
    assert isinstance(answers[3], CallerError)
    assert sent(provider) == [list(DOCUMENTS[:3]), list(DOCUMENTS)]


def digest(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32


def pointwise(request: Request) -> Reply:
    """Scores of query and document alone, cut to top_n."""
    body = request.json
    found = [(i, digest(body["query"] + "/" + text)) for i, text in enumerate(body["documents"])]
    return best(found, body["top_n"])


def listwise(request: Request) -> Reply:
    """Scores that depend on the whole list, in its order."""
    body = request.json
    whole = json.dumps([body["query"], *body["documents"]])
    return best([(i, digest(f"{whole} {i}")) for i in range(len(body["documents"]))], body["top_n"])


def best(found: Scores, most: int) -> Reply:
    found.sort(key=lambda pair: -pair[1])
    return Reply(json={"results": [{"index": i, "relevance_score": score} for i, score in found[:most]]})


TEXTS = ("", " ", "a", "b", "ab", "c", "\udcff", "\udcfe", "\0", "ü")
lists = st.lists(
    st.tuples(
        st.sampled_from(("q", "qa")),
        st.lists(st.sampled_from(TEXTS), max_size=8),
        st.integers(1, 9),
        st.sampled_from(({}, {"min_score": 0.4}, {"normalize": "sigmoid"}, {"batch_size": 2}, {"cache": False})),
    ),
    min_size=2,
    max_size=12,
)


@pytest.mark.parametrize(("name", "script"), [("Cohere", pointwise), ("Jina", listwise)])
@given(lists)
@profile(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_answer_does_not_tell_where_it_is_from(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory, name: str, script: Any, asks: list[Any]
) -> None:
    """Lists that change over time rank the same without a cache, with the memory and with the file; they cost less."""
    provider.reset(script)
    rows = [
        row(provider.url, provider=name, query=query, documents=texts, top_k=top_k, others=others)
        for query, texts, top_k, others in asks
    ]
    path = str(tmp_path_factory.mktemp("kept") / "scores")
    answers, cost = [], []
    for caching in (CacheSettings(memory_s=0), CacheSettings(), CacheSettings(path=path), CacheSettings(path=path)):
        outcomes = asked(*rows, within=settings(cache=caching))
        answers.append([one if isinstance(one, list) else str(one) for one in outcomes])
        cost.append(sum(map(len, sent(provider))))
    assert repr(answers[1:]) == repr(answers[:1] * 3)  # nan is not equal to itself
    refusing = sum(len(set(texts) - {"", " "}) for _, texts, _, others in asks if others == {"cache": False})
    assert cost[0] >= cost[1] >= cost[3]
    assert name != "Cohere" or (cost[1] >= cost[2] and cost[3] == refusing)


def test_equal_documents_are_sent_once_where_each_is_scored_for_itself(provider: Provider) -> None:
    """All of them get the score; a model that looks at the whole list sees the whole list, and so does BM25."""
    texts = ["b", "a", "", "b", "a", "b"]
    for name in ("Cohere", "Jina"):
        assert asked(row(provider.url, provider=name, query="a", documents=texts, top_k=3)) == [
            [(1, 1.0), (4, 1.0), (0, 0.0)]
        ]
    assert sent(provider) == [["b", "a"], ["b", "a", "b", "a", "b"]]
    twice, once = (Row("a", found, 1, "BM25", "", "", "") for found in (["a", "b", "b"], ["a", "b"]))
    assert asked(twice) != asked(once)


def in_file(folder: Path) -> Settings:
    """Settings with a file in a folder."""
    return settings(cache=CacheSettings(path=str(folder / "scores")))


def test_who_answers_is_who_is_remembered(provider: Provider, tmp_path: Path) -> None:
    """A fallback's scores are the fallback's: while it is needed it is asked once, and the first, when it is back."""
    fallback = {"provider": "Jina", "base_url": f"{provider.url}/other", "api_key": "another"}
    call = row(provider.url, others={"fallback": [fallback]})
    broken = True

    def script(request: Request) -> Reply:
        if request.path.startswith("/other"):
            return Reply(json={"results": [{"index": i, "relevance_score": 0.25} for i in range(4)]})
        return Reply(status=501) if broken else cohere(request)

    provider.reset(script)
    for _ in range(2):
        assert asked(call, within=in_file(tmp_path)) == [[(0, 0.25), (1, 0.25)]]
    broken = False
    for _ in range(2):
        assert asked(call, within=in_file(tmp_path)) == [RIGHT]
    assert [request.path for request in provider.requests] == [
        "/v1/rerank",
        "/other/v1/rerank",
        "/v1/rerank",
        "/v1/rerank",
    ]


@pytest.mark.parametrize("on_error", ["empty", "passthrough"])
def test_a_degraded_answer_is_not_remembered(provider: Provider, tmp_path: Path, on_error: str) -> None:
    """The row after the failure asks again and is right."""
    provider.reset(lambda request: Reply(status=501) if request.number == 1 else cohere(request))
    call = row(provider.url, others={"on_error": on_error})
    degraded, right = (asked(call, within=in_file(tmp_path)) for _ in range(2))
    assert degraded != right == [RIGHT]


@pytest.mark.parametrize(("first", "entry", "requests"), [(False, True, 4), (True, False, 4), (True, True, 3)])
def test_a_call_and_a_fallback_may_refuse_the_cache(
    provider: Provider, tmp_path: Path, first: bool, entry: bool, requests: int
) -> None:
    """A call for all who answer it, an entry of `fallback` for itself."""
    provider.reset(lambda request: Reply(status=501) if request.path == "/v1/rerank" else cohere(request))
    fallback = {"provider": "Cohere", "base_url": f"{provider.url}/other", "api_key": "k", "cache": entry}
    call = row(provider.url, others={"cache": first, "fallback": [fallback]})
    for _ in range(2):
        assert asked(call, within=in_file(tmp_path)) == [RIGHT]
    assert len(provider.requests) == requests


ENDPOINT = resolve("SageMaker", "name", "k", '{"access_key_id":"i","region_name":"us-east-1"}', Settings())
CALL = Call("query", ["one", "two"], 2, "", {})
OTHERS: dict[str, tuple[Call, Endpoint]] = {
    "provider": (CALL, replace(ENDPOINT, provider=replace(ENDPOINT.provider, name="another"))),
    "url": (CALL, replace(ENDPOINT, url=ENDPOINT.url + "/")),
    "wire": (CALL, replace(ENDPOINT, options=replace(ENDPOINT.options, wire="tei"))),
    "headers": (CALL, replace(ENDPOINT, headers={"x": "y"})),
    "key": (CALL, replace(ENDPOINT, key=type(ENDPOINT.key)("l"))),
    "access_key_id": (CALL, replace(ENDPOINT, options=replace(ENDPOINT.options, access_key_id="j"))),
    "session_token": (CALL, replace(ENDPOINT, options=replace(ENDPOINT.options, session_token="t"))),
    "region_name": (CALL, replace(ENDPOINT, options=replace(ENDPOINT.options, region_name="eu-west-1"))),
    "credential": (CALL, replace(ENDPOINT, uses_server_identity=True, credential="c")),
    "query": (replace(CALL, query="queryo"), ENDPOINT),
    "document": (replace(CALL, documents=["one", "twof"]), ENDPOINT),
    "model": (CALL, replace(ENDPOINT, model="another")),
    "fixed": (CALL, replace(ENDPOINT, provider=replace(ENDPOINT.provider, fixed={"a": 1}))),
    "fields": (CALL, replace(ENDPOINT, options=replace(ENDPOINT.options, fields={"a": 1}))),
    "model_args": (CALL, replace(ENDPOINT, options=replace(ENDPOINT.options, model_args={"a": 1}))),
    "listwise": (CALL, replace(ENDPOINT, options=replace(ENDPOINT.options, listwise=True))),
    "score_label": (CALL, replace(ENDPOINT, options=replace(ENDPOINT.options, score_label="yes"))),
}


def known(call: Call, endpoint: Endpoint, kept: Cache) -> list[bool]:
    """Which documents of a call need not be asked about."""
    found = kept.look(call, endpoint)
    missing = found.missing.documents if found.missing else []
    return [text not in missing for text in call.documents]


@pytest.mark.parametrize("stored", ["memory", "file"])
@pytest.mark.parametrize("what", OTHERS)
def test_whatever_may_change_a_score_is_part_of_the_key(tmp_path: Path, what: str, stored: str) -> None:
    """Another value of one of them is another entry; the same call is known."""
    kept = Cache(CacheSettings(path=str(tmp_path / "scores") if stored == "file" else ""))
    kept.look(CALL, ENDPOINT).keep(CallScores([0.5, 0.25]))
    assert known(CALL, ENDPOINT, kept) == [True, True]
    only_new = stored == "file" and what == "document"
    assert known(*OTHERS[what], kept) == [only_new, False]
    kept.close()


def test_another_version_asks_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may read answers in another way."""
    caching = CacheSettings(path=str(tmp_path / "scores"))
    first = Cache(caching)
    first.look(CALL, ENDPOINT).keep(CallScores([0.5, 0.25]))
    first.close()
    assert known(CALL, ENDPOINT, Cache(caching)) == [True, True]
    monkeypatch.setattr(keys, "__version__", "another")
    assert known(CALL, ENDPOINT, Cache(caching)) == [False, False]


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    """The same characters, cut elsewhere, are another call."""
    kept = Cache(CacheSettings())
    kept.look(CALL, ENDPOINT).keep(CallScores([0.5, 0.25]))
    for call in (
        replace(CALL, documents=["on", "etwo"]),
        replace(CALL, documents=["onetwo"]),
        replace(CALL, documents=["one", "two", ""]),
        replace(CALL, query="quer", documents=["yone", "two"]),
        replace(CALL, query="queryone", documents=["two"]),
        replace(CALL, top_n=1),
    ):
        assert True not in known(call, ENDPOINT, kept), call


def test_texts_that_look_alike_to_the_provider_are_told_apart(provider: Provider) -> None:
    """Different invalid bytes, a surrogate and its bytes: each its own entry."""
    kept = Cache(CacheSettings())
    texts = ("\udcff", "\udcfe", "\ufffd", "\ud800", "\udced\udca0\udc80")
    for text in texts:
        call = replace(CALL, documents=[text])
        assert known(call, ENDPOINT, kept) == [False]
        kept.look(call, ENDPOINT).keep(CallScores([0.5]))


# A new field changes scores, who may see them, or neither: decide, and put it into the key or here.
IN_KEY = {
    Options: {"model", "model_args", "wire", "score_label", "access_key_id", "region_name", "session_token"}
    | {"endpoint_url", "fields", "template_values", "listwise"}
    | {"window", "step", "passes", "max_tokens_per_doc", "bytes_per_token"},
    Endpoint: {"provider", "url", "key", "options", "model", "headers", "credential", "uses_server_identity"}
    | {"stamp"},
    Call: {"query", "documents", "top_n"},
}
WITHOUT_EFFECT = {
    Options: {
        "timeout_s",
        "deadline_s",
        "method",  # the wire says it
        "batch_size",
        "min_score",
        "normalize",
        "on_error",
        "fallback",
        "hedge_ms",
        "cache",
        "dry_run",
        "passages",  # each is a document of the call
    },
    Endpoint: {"fallbacks", "chain_secrets", "own_model"},  # its stamp has the files and the bound of a model
    Call: {"model", "fields", "score_label", "sends_top_n"},  # what plan.call takes from the endpoint
}


@pytest.mark.parametrize("record", IN_KEY)
def test_every_field_is_thought_of(record: Any) -> None:
    """What an endpoint, its options or a call may hold is in the key, or known to change nothing."""
    assert {field.name for field in fields(record)} == IN_KEY[record] | WITHOUT_EFFECT[record]


def test_memory_forgets() -> None:
    """After memory_s seconds; and the oldest first where there are many entries or much in them."""
    now = [100.0]
    kept = Cache(CacheSettings(memory_s=10), lambda: now[0])

    def keep(name: str, documents: int = 1) -> Call:
        call = replace(CALL, query=name, documents=[f"d{i}" for i in range(documents)])
        kept.look(call, ENDPOINT).keep(CallScores([0.5] * documents))
        return call

    first = keep("first")
    now[0] += 9.9
    assert known(first, ENDPOINT, kept) == [True]
    second = keep("second")
    now[0] += 0.1
    assert known(first, ENDPOINT, kept) == [False]
    assert known(second, ENDPOINT, kept) == [True]
    many = [keep(str(i)) for i in range(4001)]
    assert [known(call, ENDPOINT, kept)[0] for call in (second, many[0], many[1], many[-1])] == [
        False,
        False,
        True,
        True,
    ]
    large = [keep(f"large {i}", 10_000) for i in range(20)]
    held = [all(known(call, ENDPOINT, kept)) for call in (many[-1], *large)]
    assert held == [False] * (21 - sum(held)) + [True] * sum(held)
    assert 12 <= sum(held) <= 17  # 2 MiB of 120,000 bytes each


def test_check_asks_whatever_is_known(provider: Provider, tmp_path: Path) -> None:
    """Whether a key is taken must not be answered from a file."""
    variables = configured(
        tmp_path,
        f'[credentials.c]\nprovider = "Cohere"\napi_key = "k"\nbase_url = "{provider.url}/v1/rerank"\n'
        f'[network]\nallow_private = ["127.0.0.1"]\n[cache]\npath = "{tmp_path}/scores"\n',
    )
    (tmp_path / "config.toml").chmod(0o600)
    for _ in range(2):
        assert "cred:c for Cohere scored a document" in [
            found.text
            for found in check.findings(variables, InstallPaths(tmp_path, tmp_path, tmp_path / "config.toml"))
        ]
    assert len(provider.requests) == 2


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"cache": {"seconds": 1}}, "[cache] has the unknown key seconds. Known: memory_s, path, ttl_s, max_bytes."),
        ({"cache": {"memory_s": -1}}, "[cache] memory_s must be a number, 0 or more."),
        ({"cache": {"ttl_s": True}}, "[cache] ttl_s must be a number, 0 or more."),
        ({"cache": {"ttl_s": float("inf")}}, "[cache] ttl_s must be a number, 0 or more."),
        ({"cache": {"max_bytes": 1.5}}, "[cache] max_bytes must be an integer, 0 or more."),
        ({"cache": {"path": "scores"}}, "[cache] path must be the absolute path of a file."),
        ({"cache": {"path": 1}}, "[cache] path must be the absolute path of a file."),
        ({"log": {"path": ""}}, "[log] path must be the absolute path of a file."),
        ({"log": 1}, "[log] must be a table."),
    ],
)
def test_a_mistake_in_the_tables_is_named(document: dict[str, object], words: str) -> None:
    """Unknown keys, wrong types, relative paths."""
    with pytest.raises(CallerError) as raised:
        parse(document, {}, where="config.toml")
    assert str(raised.value) == f"Rerank: CONFIG: config.toml {words}"


def test_the_tables_arrive() -> None:
    """Each key of [cache] and [log] where it belongs."""
    cache = {"memory_s": 0, "path": "/a/b", "ttl_s": 5, "max_bytes": 6}
    read = parse({"cache": cache, "log": {"path": "/c"}}, {}, where="config.toml")
    assert (read.cache, read.log) == (CacheSettings(0, "/a/b", 5, 6), LogSettings("/c"))


def test_a_log_that_cannot_be_written_is_said_at_the_start(worker: Start, tmp_path: Path) -> None:
    """One line that names the setting."""
    one = worker(**configured(tmp_path, f'[log]\npath = "{tmp_path}/none/log"\n'))
    code, _, said = one.finish()
    assert code == 1
    assert said.decode() == (
        f"Rerank: CONFIG: [log] path {tmp_path}/none/log cannot be written (No such file or directory). "
        "Correct it or its mode."
    )

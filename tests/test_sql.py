"""Rerank as its users meet it: through SQL on the real engine."""

import math
import os
import select
import signal
import socket
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from conftest import Sql, worker_environment
from provider import Provider, Reply, Request, cohere

FORMATS = ("JSONEachRow", "TabSeparated", "RowBinary")
HANG_S = 30.0
_numbers = count(1)


def new_key() -> str:
    """A key that no other test uses: what an endpoint did under one key is not held against another."""
    return f"sesame-{next(_numbers)}-canary"


def call(
    provider: Provider,
    query: str = "'a'",
    documents: str = "['b', 'a']",
    top_k: str = "2",
    others: str = "",
    *,
    name: str = "Rerank",
    key: str = "",
) -> str:
    """A call of Cohere on the loopback provider; query, documents and top_k are SQL."""
    return (
        f"{name}({query}, {documents}, {top_k}, 'Cohere', '{provider.url}/v1/rerank', '{key or new_key()}', '{others}')"
    )


def scripted(*scores: float) -> Reply:
    """An answer that gives the documents these scores, in their order."""
    return Reply(json={"results": [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]})


def test_the_documented_call_returns_the_two_best(sql: Sql, provider: Provider) -> None:
    """One call, exact result and exact type."""
    scores = {"a": 0.5, "b": 0.25, "c": 0.875}
    provider.reset(
        lambda r: Reply(
            json={"results": [{"index": i, "relevance_score": scores[d]} for i, d in enumerate(r.json["documents"])]}
        )
    )
    call = f"Rerank('q', ['a','b','c'], 2, 'Cohere', '{provider.url}/v1/rerank', 'k', '')"
    assert sql.value(f"SELECT {call}") == [(2, "c", 0.875), (0, "a", 0.5)]
    assert sql.value(f"SELECT toTypeName({call})") == "Array(Tuple(UInt32, String, Float32))"


AWKWARD = (
    b"",
    b" \t\n",
    b"a\tb\nc\\d\"e'f/\r\b\f",
    b"nul\0x",
    b"bad\xc3(\xff\xed\xa0\x80",
    "ümlaut 😀 \u2028".encode(),
    b"y" * 1_000_000,
)


@pytest.mark.parametrize("name", FORMATS)
def test_documents_come_back_byte_for_byte(sql: Sql, provider: Provider, name: str) -> None:
    """NUL, tabs, quotes, invalid UTF-8, emoji and a megabyte survive every format; blanks come last, unscored."""
    *short, long = AWKWARD
    documents = ", ".join(f"unhex('{document.hex()}')" for document in short) + f", repeat('y', {len(long)})"
    call = f"{sql.function(name)}('ümlaut', [{documents}], 10, 'Cohere', '{provider.url}', 'k', '')"
    rows = sql.rows(f"SELECT r.1, hex(r.2), isNaN(r.3) FROM (SELECT {call} AS rs) ARRAY JOIN rs AS r")
    assert {index: bytes.fromhex(text) for index, text, _ in rows} == dict(enumerate(AWKWARD))
    assert [index for index, _, unscored in rows if unscored] == [0, 1]
    assert rows[0][0] == 5 and [row[0] for row in rows[-2:]] == [0, 1]
    assert provider.requests[0].json["documents"][2] == "bad\ufffd(\ufffd\ufffd\ufffd\ufffd"


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "setting",
    [
        "output_format_json_array_of_rows = 1",
        "output_format_json_validate_utf8 = 1",
        "output_format_tsv_crlf_end_of_line = 1",
        "output_format_json_escape_forward_slashes = 0",
        "input_format_parallel_parsing = 0",
    ],
)
def test_format_settings_break_no_query(sql: Sql, provider: Provider, name: str, setting: str) -> None:
    """A session's format settings break neither the query that has them nor the next one."""
    documents = "['1', '0', toString(number)]"
    rows = f"SELECT {call(provider, 'toString(number)', documents, name=sql.function(name))}[1].1 FROM numbers(3)"
    for _ in range(2):
        assert sql.rows(f"{rows} SETTINGS {setting}") == [(1,), (0,), (2,)]
        assert sql.rows(rows) == [(1,), (0,), (2,)]


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_to_rank_is_nothing_asked(sql: Sql, provider: Provider, name: str) -> None:
    """No documents, or a top_k of 0, give [] without a request, whatever the query."""
    function = sql.function(name)
    assert sql.value(f"SELECT {call(provider, documents='[]', name=function)}") == []
    assert sql.value(f"SELECT {call(provider, top_k='0', name=function)}") == []
    empty = "''"
    assert sql.value(f"SELECT {call(provider, empty, '[]', name=function)}") == []
    assert provider.requests == []


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("query", ["''", "' \\t\\n'", "'\u3000'"])
def test_an_empty_query_is_an_error(sql: Sql, provider: Provider, name: str, query: str) -> None:
    """A query of nothing but white space is refused, here and not by the provider."""
    error = sql.error(f"SELECT {call(provider, query, name=sql.function(name))}")
    assert error.startswith("Rerank: BAD_ARGUMENT: The query is empty.")
    assert provider.requests == []


@pytest.mark.parametrize("name", FORMATS)
def test_blank_documents_are_never_sent(sql: Sql, provider: Provider, name: str) -> None:
    """Blank documents stay behind, come last in input order with nan, and shift no index."""
    documents = "['', 'b', ' \\n', 'a', '\u3000']"
    result = sql.value(f"SELECT {call(provider, documents=documents, top_k='4', name=sql.function(name))}")
    assert [(index, text) for index, text, _ in result] == [(3, "a"), (1, "b"), (0, ""), (2, " \n")]
    assert [math.isnan(score) for _, _, score in result] == [False, False, True, True]
    assert provider.requests[0].json["documents"] == ["b", "a"]
    assert provider.requests[0].json["top_n"] == 2


def test_only_blank_documents_are_no_request(sql: Sql, provider: Provider) -> None:
    """Where nothing can be scored nothing is asked."""
    blank = "['', ' ']"
    query = f"SELECT r.1, isNaN(r.3) FROM (SELECT {call(provider, documents=blank)} AS rs) ARRAY JOIN rs AS r"
    assert sql.rows(query) == [(0, 1), (1, 1)]
    assert provider.requests == []


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("top_k", "expected"), [("1", 1), ("3", 3), ("4", 3), ("4294967295", 3)])
def test_top_k(sql: Sql, provider: Provider, name: str, top_k: str, expected: int) -> None:
    """The result has min(top_k, n) documents, and no more than n are asked for."""
    documents = "['b', 'a', 'c']"
    result = call(provider, documents=documents, top_k=top_k, name=sql.function(name))
    assert sql.value(f"SELECT length({result})") == expected
    assert provider.requests[0].json["top_n"] == expected


@pytest.mark.parametrize("top_k", ["-1", "4294967296", "1.5", "'x'", "NULL"])
def test_a_top_k_that_is_none_is_the_engines_error(sql: Sql, provider: Provider, top_k: str) -> None:
    """What is no UInt32 never reaches the worker."""
    assert "Code: " in sql.error(f"SELECT {call(provider, top_k=top_k)}")
    assert provider.requests == []


def test_ties_keep_the_order_of_input(sql: Sql, provider: Provider) -> None:
    """Equal scores are ordered by position; those that only Float32 makes equal are not equal."""
    provider.reset(lambda _: scripted(0.5, 0.7, 0.5 + 1e-12, 0.7))
    documents = "['a', 'b', 'c', 'd']"
    assert sql.value(f"SELECT {call(provider, documents=documents, top_k='4')}.1") == [1, 3, 2, 0]


def test_min_score_leaves_documents_out(sql: Sql, provider: Provider) -> None:
    """Documents below min_score, and those that were never scored, are not in the result."""
    provider.reset(lambda _: scripted(0.1, 0.7, 0.3))
    documents, others = "['a', '', 'b', 'c']", '{"min_score": 0.3}'
    assert sql.value(f"SELECT {call(provider, documents=documents, top_k='9', others=others)}.1") == [2, 3]
    for others in ('{"min_score": 1}', '{"min_score": 1e39}'):
        assert sql.value(f"SELECT {call(provider, documents=documents, top_k='9', others=others)}") == []


def test_normalize_maps_scores_into_0_to_1(sql: Sql, provider: Provider) -> None:
    """sigmoid keeps the order of scores of any size; min_score counts after it."""
    provider.reset(lambda _: scripted(0, -800, 800, 2))
    documents, others = "['a', 'b', 'c', 'd']", '{"normalize": "sigmoid", "min_score": 0.5}'
    result = sql.value(f"SELECT {call(provider, documents=documents, top_k='9', others=others)}")
    assert [(index, round(score, 4)) for index, _, score in result] == [(2, 1.0), (3, 0.8808), (0, 0.5)]


@pytest.mark.parametrize("name", FORMATS)
def test_a_silent_provider_is_a_timeout(sql: Sql, provider: Provider, name: str) -> None:
    """timeout_s bounds a row; the message says how it can be raised, and the next query is answered."""
    provider.reset(lambda _: Reply(never=True))
    others = '{"timeout_s": 0.2}'
    error = sql.error(f"SELECT {call(provider, others=others, name=sql.function(name))}")
    assert error.startswith("Rerank: TIMEOUT: Cohere did not answer within 0.2 s.") and "others.timeout_s" in error
    provider.reset()
    assert sql.value(f"SELECT {call(provider, name=sql.function(name))}.1") == [1, 0]


SECRET = "sesame-canary"
DOCUMENT = "a confidential document"
GOOD_URL = "{url}/v1/rerank"

# (provider, base_url, api_key, others) -> code, and what the message must name.
REFUSED: list[tuple[str, str, str, str, str, str]] = [
    ("Choere", GOOD_URL, SECRET, "", "UNKNOWN_PROVIDER", "Cohere, Jina"),
    ("", GOOD_URL, SECRET, "", "UNKNOWN_PROVIDER", "Cohere, Jina"),
    ("Cohere", GOOD_URL, "", "", "BAD_KEY", "Pass api_key"),
    ("Cohere", GOOD_URL, SECRET + "\\r\\nX: y", "", "BAD_KEY", "spaces and line feeds"),
    ("Cohere", GOOD_URL, SECRET + "\\0", "", "BAD_KEY", "spaces and line feeds"),
    ("Cohere", GOOD_URL, SECRET + "ü", "", "BAD_KEY", "spaces and line feeds"),
    ("Cohere", GOOD_URL, " " + SECRET, "", "BAD_KEY", "spaces and line feeds"),
    ("Cohere", GOOD_URL, "cred:nobody", "", "CREDENTIAL", "no credential 'nobody'"),
    ("LocalAI", "", SECRET, '{"model": "m"}', "BAD_URL", "LocalAI needs base_url"),
    ("LocalAI", GOOD_URL, SECRET, "", "BAD_OTHERS", "model"),
    ("SageMaker", "", SECRET, "", "BAD_URL", "endpoint"),
    ("SageMaker", "my-endpoint", SECRET, "", "BAD_OTHERS", "others.access_key_id"),
    ("SageMaker", "my-endpoint", SECRET, '{"access_key_id": "A"}', "BAD_OTHERS", "others.region_name"),
    ("Cohere", "127.0.0.1/v1/rerank", SECRET, "", "BAD_URL", "no scheme"),
    ("Cohere", "ftp://127.0.0.1/v1", SECRET, "", "BAD_URL", "http(s)"),
    ("Cohere", "file:///etc/passwd", SECRET, "", "BAD_URL", "http(s)"),
    ("Cohere", "http://user:pass@127.0.0.1/", SECRET, "", "BAD_URL", "no user"),
    ("Cohere", "http://127.0.0.1/?token=x", SECRET, "", "BAD_URL", "no user, query"),
    ("Cohere", "http://127.0.0.1/#x", SECRET, "", "BAD_URL", "fragment"),
    ("Cohere", "http://127.0.0.1:0/", SECRET, "", "BAD_URL", "port"),
    ("Cohere", "http://127.0.0.1:65536/", SECRET, "", "BAD_URL", "port"),
    ("Cohere", "http://2130706433/", SECRET, "", "BAD_URL", "number"),
    ("Cohere", "http://127.1/", SECRET, "", "BAD_URL", "number"),
    ("Cohere", "http://127.0.0.1/a b", SECRET, "", "BAD_URL", "http(s)"),
    ("Cohere", "http://127.0.0.1/../x", SECRET, "", "BAD_URL", "http(s)"),
    ("Cohere", "http://127.0.0.1\\\\@h/", SECRET, "", "BAD_URL", "http(s)"),
    ("Cohere", "http://10.0.0.1/", SECRET, "", "BLOCKED", "operator"),
    ("Cohere", "https://169.254.169.254/latest", SECRET, "", "BLOCKED", "operator"),
    ("Cohere", GOOD_URL, SECRET, "{", "BAD_OTHERS", "not valid JSON"),
    ("Cohere", GOOD_URL, SECRET, "null", "BAD_OTHERS", "not a JSON object"),
    ("Cohere", GOOD_URL, SECRET, "[]", "BAD_OTHERS", "not a JSON object"),
    ("Cohere", GOOD_URL, SECRET, "[" * 5000, "BAD_OTHERS", "not valid JSON"),
    (
        "Cohere",
        GOOD_URL,
        SECRET,
        '{"modle": "sesame-canary"}',
        "BAD_OTHERS",
        "'modle' in others. Did you mean model? Known keys: ",
    ),
    ("Cohere", GOOD_URL, SECRET, '{"model": 1}', "BAD_OTHERS", "others.model must be a string"),
    ("Cohere", GOOD_URL, SECRET, '{"timeout_s": "1"}', "BAD_OTHERS", "others.timeout_s must be a number"),
    ("Cohere", GOOD_URL, SECRET, '{"timeout_s": true}', "BAD_OTHERS", "others.timeout_s must be a number"),
    ("Cohere", GOOD_URL, SECRET, '{"timeout_s": 0}', "BAD_OTHERS", "others.timeout_s must be at least"),
    ("Cohere", GOOD_URL, SECRET, '{"timeout_s": 1e9}', "BAD_OTHERS", "others.timeout_s must be at most 30"),
    ("Cohere", GOOD_URL, SECRET, '{"min_score": NaN}', "BAD_OTHERS", "finite"),
    ("Cohere", GOOD_URL, SECRET, '{"min_score": 1e999}', "BAD_OTHERS", "finite"),
    ("Cohere", GOOD_URL, SECRET, '{"min_score": ' + "9" * 400 + "}", "BAD_OTHERS", "64 bits"),
    ("Cohere", GOOD_URL, SECRET, '{"normalize": "softmax"}', "BAD_OTHERS", "one of none, sigmoid"),
    ("Cohere", GOOD_URL, SECRET, '{"model": "a", "model": "b"}', "BAD_OTHERS", "'model' twice"),
    ("Cohere", GOOD_URL, SECRET, '{"model": "rerank-english-v2.0"}', "BAD_OTHERS", "rerank-v3.5"),
    (
        "Cohere",
        GOOD_URL,
        SECRET,
        '{"max_chunks_per_doc": 0}',
        "BAD_OTHERS",
        "others.max_chunks_per_doc must be at least",
    ),
    ("BM25", "", SECRET, "", "BAD_ARGUMENT", "Pass '' for base_url and api_key"),
    ("BM25", "", "", '{"model": "m"}', "BAD_OTHERS", "Known keys: "),
]


def check(error: str, code: str, words: str) -> None:
    """An error has its code and its words, on one line, and shows neither the key nor a document."""
    assert error.startswith(f"Rerank: {code}: "), error
    assert words in error, error
    assert "\n" not in error and len(error) < 1000
    assert SECRET not in error and DOCUMENT not in error


@pytest.mark.parametrize(("name", "base_url", "key", "others", "code", "words"), REFUSED)
def test_bad_arguments_get_one_clear_line(
    sql: Sql, provider: Provider, name: str, base_url: str, key: str, others: str, code: str, words: str
) -> None:
    """Each mistake has its code, names what to change, shows no secret, sends nothing, and harms no other query."""
    url = base_url.format(url=provider.url) if base_url == GOOD_URL else base_url
    check(sql.error(f"SELECT Rerank('q', ['{DOCUMENT}'], 1, '{name}', '{url}', '{key}', '{others}')"), code, words)
    assert provider.requests == []
    assert sql.value(f"SELECT {call(provider)}.1") == [1, 0]


def results(*items: object) -> Reply:
    return Reply(json={"results": list(items)})


def item(index: object, score: object = 0.5) -> dict[str, object]:
    return {"index": index, "relevance_score": score}


def raw(text: str) -> Reply:
    return Reply(body=text.encode())


# What the provider answers for two documents -> code, and what the message must name.
ANSWERED: list[tuple[str, Reply, str, str]] = [
    ("400", Reply(status=400, json={"message": "bad thing"}), "BAD_REQUEST", "answered 400 (bad thing)"),
    ("400 of nothing", Reply(status=400, body=b""), "BAD_REQUEST", "answered 400"),
    ("401", Reply(status=401, json={"message": "invalid api token"}), "AUTH", "Check api_key"),
    ("403", Reply(status=403, json={"detail": "forbidden"}), "AUTH", "Check api_key"),
    ("402", Reply(status=402, json={"error": {"message": "pay"}}), "QUOTA", "answered 402 (pay)"),
    ("404", Reply(status=404, body=b"<html>not here</html>"), "NOT_FOUND", "Check base_url"),
    ("413", Reply(status=413, json={}), "TOO_LARGE", "fewer or shorter documents"),
    ("422", Reply(status=422, json={"detail": [{"msg": "field required"}]}), "BAD_REQUEST", "field required"),
    ("429", Reply(status=429, json={"message": "slow"}, headers={"Retry-After": "99"}), "RATE_LIMIT", "answered 429"),
    ("500", Reply(status=500, json={"error": "boom"}), "PROVIDER", "answered 500 (boom)"),
    ("503", Reply(status=503, body=b"<html></html>"), "PROVIDER", "answered 503"),
    ("204", Reply(status=204, body=b""), "PROTOCOL", "answered 204"),
    ("301", Reply(status=301, headers={"Location": "/v2"}, body=b""), "REDIRECT", "final URL as base_url"),
    ("307", Reply(status=307, headers={"Location": "http://127.0.0.1:1/"}, body=b""), "REDIRECT", "base_url"),
    ("an HTML page", raw("<!doctype html><p>x"), "PROTOCOL", "an HTML page"),
    ("nothing", raw(""), "PROTOCOL", "nothing"),
    ("truncated JSON", raw('{"results": [{"index": 0'), "PROTOCOL", "no valid JSON"),
    ("deep JSON", raw("[" * 100_000), "PROTOCOL", "no valid JSON"),
    ("UTF-16", Reply(body='{"results": []}'.encode("utf-16")), "PROTOCOL", "no valid JSON"),
    ("another object", raw('{"answer": 42}'), "PROTOCOL", "no list of results"),
    ("a string", raw('"ok"'), "PROTOCOL", "no list of results"),
    ("an error in 200", Reply(json={"error": "model is cold"}), "PROVIDER", "model is cold"),
    ("too few", results(item(0)), "PROTOCOL", "1 scores where 2 were asked for"),
    ("none", results(), "PROTOCOL", "0 scores where 2"),
    ("an index twice", results(item(0), item(0)), "PROTOCOL", "index 0 twice"),
    ("an index too large", results(item(0), item(2)), "PROTOCOL", "index 2"),
    ("a negative index", results(item(0), item(-1)), "PROTOCOL", "index -1"),
    ("an index of 1.5", results(item(0), item(1.5)), "PROTOCOL", "no integer"),
    ("an index as text", results(item(0), item("1")), "PROTOCOL", "no integer"),
    ("an index of true", results(item(0), item(True)), "PROTOCOL", "no integer"),
    ("no index", results(item(0), {"relevance_score": 1}), "PROTOCOL", "no integer"),
    ("a huge index", raw('{"results": [{"index": 1e999, "relevance_score": 1}]}'), "PROTOCOL", "Check that base_url"),
    ("NaN", raw('{"results": [{"index": 0, "relevance_score": NaN}]}'), "PROTOCOL", "no valid JSON"),
    ("1e999", raw('{"results": [{"index": 0, "relevance_score": 1e999}]}'), "PROTOCOL", "Check that base_url"),
    ("1e39", results(item(0), item(1, 1e39)), "PROTOCOL", "not finite"),
    ("null for a score", results(item(0), item(1, None)), "PROTOCOL", "no number"),
    ("text for a score", results(item(0), item(1, "0.5")), "PROTOCOL", "no number"),
    ("no score", results(item(0), {"index": 1}), "PROTOCOL", "without a score"),
    ("an item of text", results("a", "b"), "PROTOCOL", "no object"),
    ("a compressed body", Reply(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), "PROTOCOL", "compressed"),
    ("half a body", Reply(body=b"{", headers={"Content-Length": "99"}, close=True), "CONNECT", "closed the connection"),
    ("a reset", Reply(json={"results": []}, reset_after=40), "CONNECT", "127.0.0.1"),
    ("no HTTP", Reply(raw=b"SSH-2.0-OpenSSH\r\n\r\n", close=True), "PROTOCOL", "127.0.0.1"),
]


@pytest.mark.parametrize(
    ("reply", "code", "words"), [case[1:] for case in ANSWERED], ids=[case[0] for case in ANSWERED]
)
def test_bad_answers_get_one_clear_line(sql: Sql, provider: Provider, reply: Reply, code: str, words: str) -> None:
    """Whatever the provider answers is one sentence with its code and no secret, and the next query works."""
    provider.reset(lambda _: reply)
    documents = f"['{DOCUMENT}', 'b']"
    check(sql.error(f"SELECT {call(provider, documents=documents, key=SECRET + str(next(_numbers)))}"), code, words)
    provider.reset()
    assert sql.value(f"SELECT {call(provider)}.1") == [1, 0]


def test_a_key_that_the_provider_repeats_is_hidden(sql: Sql, provider: Provider) -> None:
    """A provider that puts the key into its error does not put it into the user's."""
    provider.reset(lambda r: Reply(status=401, json={"detail": f"no such key: {r.headers['authorization']}"}))
    check(sql.error(f"SELECT {call(provider, key=SECRET)}"), "AUTH", "no such key: Bearer ***")


def test_a_closed_port_is_one_clear_line(sql: Sql, provider: Provider) -> None:
    """Nobody listening is CONNECT, with host and port."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        query = f"SELECT Rerank('q', ['{DOCUMENT}'], 1, 'Cohere', 'http://127.0.0.1:{port}/', '{SECRET}', '')"
        check(sql.error(query), "CONNECT", f"127.0.0.1:{port}")
    assert sql.value(f"SELECT {call(provider)}.1") == [1, 0]


@pytest.mark.parametrize("name", FORMATS)
def test_queries_survive_their_neighbours_errors(sql: Sql, provider: Provider, name: str) -> None:
    """Failing and working queries of many rows, in turns, each get their own answer and no other's."""
    provider.reset(lambda r: Reply(status=401, json={}) if r.json["query"] == "7" else cohere(r))
    function, key = sql.function(name), new_key()
    rows = call(provider, "toString(number)", "['x', toString(number)]", "1", name=function, key=key)
    for _ in range(10):
        check(sql.error(f"SELECT {rows} FROM numbers(10)"), "AUTH", "Cohere answered 401")
        assert sql.rows(f"SELECT {rows}[1].2 FROM numbers(6)") == [(str(n),) for n in range(6)]


def test_an_error_in_many_processes_is_one_error(sql: Sql, provider: Provider) -> None:
    """Each thread's process may fail at once: the query has one error, and the next one works."""
    provider.reset(lambda _: Reply(status=401, json={}))
    rows = call(provider, "toString(number)", "['x', toString(number)]", "1")
    source = "FROM numbers_mt(4000) SETTINGS max_threads = 3, max_block_size = 100"
    check(sql.error(f"SELECT count(), any({rows}) {source}"), "AUTH", "Cohere answered 401")
    provider.reset()
    assert sql.value(f"SELECT sum({rows}[1].2 = toString(number)) {source}") == 4000


@pytest.mark.parametrize("name", FORMATS)
def test_equal_rows_are_one_request(sql: Sql, provider: Provider, name: str) -> None:
    """A thousand rows of ten different calls are ten requests."""
    rows = call(provider, "toString(number % 10)", "['x', toString(number % 10)]", "1", name=sql.function(name))
    assert sql.value(f"SELECT sum({rows}[1].1) FROM numbers(1000)") == 1000
    assert len(provider.requests) == 10


def test_a_thousand_rows_are_asked_64_at_a_time(sql: Sql, provider: Provider) -> None:
    """Rows of one query are asked concurrently, as many as the limit allows and no more, and keep their order."""
    provider.reset(lambda r: Reply(json=cohere(r).json, delay_s=0.02 + 0.0001 * (r.number % 50)))
    rows = call(provider, "toString(number)", "['x', toString(number)]", "1")
    assert sql.rows(f"SELECT number, {rows}[1].2 FROM numbers(1000)") == [(n, str(n)) for n in range(1000)]
    assert len(provider.requests) == 1000
    assert provider.most_in_flight == 64


@pytest.mark.parametrize("name", FORMATS)
def test_threads_have_processes_of_their_own(sql: Sql, provider: Provider, name: str) -> None:
    """Blocks in several threads, and branches of a UNION, are answered each with its own."""
    rows = call(provider, "toString(number)", "['x', toString(number)]", "1", name=sql.function(name))
    settings = "SETTINGS max_threads = 4, max_block_size = 64"
    query = f"SELECT number, {rows}[1].2 FROM numbers_mt(1500) ORDER BY number {settings}"
    assert sql.rows(query) == [(n, str(n)) for n in range(1500)]
    branches = " UNION ALL ".join(f"SELECT {rows}[1].2 AS d FROM numbers({n}, 10)" for n in (0, 10, 20))
    assert sorted(sql.rows(branches)) == sorted((str(n),) for n in range(30))


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_many_blocks(sql: Sql, provider: Provider, name: str) -> None:
    """A process answers one block after another, of one row or of many."""
    rows = call(provider, "toString(number)", "['x', toString(number)]", "1", name=sql.function(name))
    for size in (1, 7, 100):
        settings = f"SETTINGS max_threads = 1, max_block_size = {size}"
        assert sql.value(f"SELECT sum({rows}[1].2 = toString(number)) FROM numbers(100) {settings}") == 100


def test_left_array_join_keeps_rows_without_documents(sql: Sql, provider: Provider) -> None:
    """LEFT ARRAY JOIN over the result keeps the question that had nothing to rank."""
    documents = "if(number = 1, emptyArrayString(), ['x', toString(number)])"
    query = (
        f"SELECT number, r.2 FROM numbers(3) LEFT ARRAY JOIN {call(provider, 'toString(number)', documents, '1')} AS r"
    )
    assert sql.rows(query) == [(0, "0"), (1, ""), (2, "2")]


def test_server_side_parameters(sql: Sql, provider: Provider) -> None:
    """Query and documents may be parameters of the query, with whatever they hold."""
    query = f"SELECT {call(provider, '{q:String}', '{d:Array(String)}', '{k:UInt32}')}"
    result = sql.value(query, q="it's", d=["no", "it's \\ here\t"], k=1)
    assert result == [(1, "it's \\ here\t", 1.0)]


def test_argument_types_that_the_engine_converts(sql: Sql, provider: Provider) -> None:
    """Nullable, LowCardinality and FixedString arguments and other integers work as their values."""
    query, documents = "toNullable('a')", "[toFixedString('b', 1), toFixedString('a', 1)]"
    assert sql.value(f"SELECT {call(provider, query, documents, 'toUInt8(1)')}.2") == ["a"]
    query, documents = "toLowCardinality('a')", "[toLowCardinality('b'), toLowCardinality('a')]"
    assert sql.value(f"SELECT {call(provider, query, documents, 'toInt64(1)')}.2") == ["a"]


@pytest.mark.parametrize("name", ["cohere", "COHERE", " Cohere "])
def test_a_providers_name_has_no_case(sql: Sql, provider: Provider, name: str) -> None:
    """Case and surrounding blanks of the provider's name do not matter."""
    assert sql.value(f"SELECT {call(provider)}.1".replace("'Cohere'", f"'{name}'")) == [1, 0]


def test_a_constant_call_in_a_subquery_is_one_request(sql: Sql, provider: Provider) -> None:
    """Read from a subquery, a constant call is made once however often its result is used."""
    assert sql.rows(f"SELECT r[1].1, r[2].2, length(r) FROM (SELECT {call(provider)} AS r)") == [(1, "b", 2)]
    assert len(provider.requests) == 1


def test_the_key_goes_into_the_header_only(sql: Sql, provider: Provider) -> None:
    """The request carries the key as a bearer token, not in its path or body."""
    key = new_key()
    sql.value(f"SELECT {call(provider, key=key)}")
    request: Request = provider.requests[0]
    assert request.headers["authorization"] == f"Bearer {key}"
    assert key not in request.path and key.encode() not in request.body
    assert (request.method, request.path) == ("POST", "/v1/rerank")


SESSION = """
import os, sys
from pathlib import Path
from clickhouse_rerank.commands.embedded_engine import Engine
engine = Engine()
url, end = sys.argv[1:]
def rows(query):
    return f"Rerank({query}, ['x', toString(number)], 1, 'Cohere', '{url}', 'the-key', '')[1].2"
settings = "SETTINGS max_threads = 2, max_block_size = 50"
engine.query(f"SELECT {rows('toString(number)')} FROM numbers_mt(400) {settings} FORMAT Null")
def parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
print(*[pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent(pid) == os.getpid()], flush=True)
sys.stdin.readline()
if end == "close":
    engine.close()
    sys.stdin.readline()
elif end == "kill":
    os.kill(os.getpid(), 9)
elif end == "call":
    slow = "'slow'"
    engine.query(f"SELECT {rows(slow)} FROM numbers(1)")
"""


@pytest.mark.parametrize("end", ["close", "exit", "kill", "call"])
def test_no_worker_outlives_its_session(provider: Provider, tmp_path: Path, end: str) -> None:
    """Closed, left without a word, killed or killed during a call: the engine's workers end with it."""
    provider.reset(lambda r: Reply(never=True) if r.json["query"] == "slow" else cohere(r))
    session = subprocess.Popen(
        [sys.executable, "-c", SESSION, provider.url, end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=worker_environment(TMPDIR=str(tmp_path)),
        text=True,
    )
    assert session.stdin is not None and session.stdout is not None
    try:
        workers = [os.pidfd_open(int(pid)) for pid in session.stdout.readline().split()]
        assert workers
        while provider.arrived.acquire(blocking=False):
            pass
        session.stdin.write("\n")
        session.stdin.flush()
        if end == "call":
            assert provider.arrived.acquire(timeout=HANG_S)
            session.send_signal(signal.SIGKILL)
        for worker in workers:
            poll = select.poll()
            poll.register(worker, select.POLLIN)
            assert poll.poll(1000 * HANG_S), "a worker is left behind"
            os.close(worker)
    finally:
        session.kill()
        session.communicate()

"""A score per row: `RerankScore` and its wrappers through SQL, at a provider that counts what it is asked."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

import decision_model
import engine_bytes
from asking import row
from conftest import Sql, Worker
from provider import Provider, Reply, Request

LIMIT = 999
"""Cohere's documents in a request."""


def pair_score(query: str, document: str) -> float:
    """A score that no other pair has."""
    return int.from_bytes(sha256(f"{query}\0{document}".encode()).digest()[:3], "big") / (1 << 24)


def pairs(request: Request) -> Reply:
    """A provider that gives each pair its own score, and refuses more than its limit."""
    asked = request.json
    if len(asked["documents"]) > LIMIT:
        return Reply(400, {"message": "too many documents"})
    results = [
        {"index": index, "relevance_score": pair_score(asked["query"], document)}
        for index, document in enumerate(asked["documents"])
    ]
    return Reply(json={"results": results})


def without(word: str) -> Callable[[Request], Reply]:
    """The same, but a request with this word in a document is refused."""

    def script(request: Request) -> Reply:
        if any(word in document for document in request.json["documents"]):
            return Reply(400, {"message": "a document is not acceptable"})
        return pairs(request)

    return script


def score(
    provider: Provider, query: str = "'q'", document: str = "concat('d', toString(number))", others: str = "''"
) -> str:
    return f"RerankScore({query}, {document}, 'Cohere', '{provider.url}/v1/rerank', 'k', {others})"


def asked(provider: Provider) -> list[list[str]]:
    """The documents of each request."""
    return [request.json["documents"] for request in provider.requests]


def fewest(sizes: list[int]) -> int:
    """Requests for groups of so many documents."""
    return sum(math.ceil(size / LIMIT) for size in sizes)


@pytest.mark.parametrize("threads", [1, 4, 8])
@pytest.mark.parametrize("block", [100, 8192, 65_536])
def test_rows_of_a_block_share_requests(sql: Sql, provider: Provider, block: int, threads: int) -> None:
    """Every score is that of its pair, in as few requests as the blocks allow; the engine sends one after another."""
    provider.reset(pairs)
    rows = sql.rows(
        f"SELECT number, {score(provider)}, blockNumber() FROM numbers_mt(20000) "
        f"SETTINGS max_block_size = {block}, max_threads = {threads}"
    )
    assert {number for number, _, _ in rows} == set(range(20_000))
    assert all(pair_score("q", f"d{number}") == pytest.approx(got, abs=1e-6) for number, got, _ in rows)
    blocks = Counter(number for _, _, number in rows)
    # A pause of a busy machine can send a group before it is full.
    assert len(provider.requests) <= fewest([*blocks.values()]) * 1.05 + 2


def test_questions_at_random_share_as_well(sql: Sql, provider: Provider) -> None:
    """Ten questions among the rows of one block; a pause of a busy machine can send each group once more."""
    provider.reset(pairs)
    query = "concat('q', toString(cityHash64(number) % 10))"
    rows = sql.rows(
        f"SELECT {query} AS q, number, {score(provider, query)} FROM numbers(20000) SETTINGS max_block_size = 65536"
    )
    assert all(pair_score(q, f"d{number}") == pytest.approx(got, abs=1e-6) for q, number, got in rows)
    questions = Counter(q for q, _, _ in rows)
    assert len(questions) == 10
    assert len(provider.requests) <= fewest([*questions.values()]) + 10


def test_unequal_options_never_share(sql: Sql, provider: Provider) -> None:
    """Not even if they differ in what a request does not show."""
    provider.reset(pairs)
    others = "if(number % 2, '{\"min_score\":0.5}', '')"
    rows = sql.rows(f"SELECT number, {score(provider, others=others)} FROM numbers(100)")
    for number, got in rows:
        expected = pair_score("q", f"d{number}")
        if number % 2 and expected < 0.5:
            assert math.isnan(got)
        else:
            assert got == pytest.approx(expected, abs=1e-6)
    assert sorted({int(document[1:]) % 2 for document in documents} for documents in asked(provider)) == [{0}, {1}]


def test_what_is_not_scored_is_nan(sql: Sql, provider: Provider) -> None:
    """Blank and NULL documents, and scores below min_score; nan is behind all scores in an order."""
    provider.reset(pairs)
    texts = "arrayJoin(['a', NULL, ' ', 'b'])"
    call = score(provider, document="text", others="'{\"min_score\":0}'")
    rows = sql.rows(f"SELECT ifNull(text, '-') AS t, {call} AS s FROM (SELECT {texts} AS text) ORDER BY s DESC, t")
    assert [text for text, _ in rows[2:]] == [" ", "-"] and all(math.isnan(got) for _, got in rows[2:])
    assert {text for text, _ in rows[:2]} == {"a", "b"}
    assert sql.value(f"SELECT toTypeName({score(provider, document=chr(39) + chr(39))})") == "Float32"


def test_equal_documents_are_sent_once(sql: Sql, provider: Provider) -> None:
    """Of rows that are equal, and of rows that have a document in common."""
    provider.reset(pairs)
    call = f"Rerank('q', ['common', toString(number)], 2, 'Cohere', '{provider.url}/v1/rerank', 'k', '')"
    rows = sql.rows(f"SELECT number, {call} FROM (SELECT number % 50 AS number FROM numbers(200))")
    for number, ranking in rows:
        expected = {"common": pair_score("q", "common"), str(number): pair_score("q", str(number))}
        assert [text for _, text, _ in ranking] == sorted(expected, key=lambda text: -expected[text])
        assert {text: pytest.approx(got, abs=1e-6) for _, text, got in ranking} == expected
    (documents,) = asked(provider)
    assert sorted(documents) == sorted(["common", *map(str, range(50))])


def test_one_poisoned_document_among_many(sql: Sql, provider: Provider) -> None:
    """It costs its own row, and 2 log2(limit) + 1 requests at most."""
    provider.reset(without("poison"))
    document = "concat(if(number = 4321, 'poison', 'd'), toString(number))"
    call = score(provider, document=document, others='\'{"on_error":"empty"}\'')
    rows = sql.rows(f"SELECT number, {call} FROM numbers(10000)")
    assert [number for number, got in rows if math.isnan(got)] == [4321]
    assert all(number == 4321 or pair_score("q", f"d{number}") == pytest.approx(got, abs=1e-6) for number, got in rows)
    assert len(provider.requests) <= math.ceil(10_000 / LIMIT) + 2 * math.log2(1000) + 1


def test_a_poisoned_document_fails_its_query_by_default(sql: Sql, provider: Provider) -> None:
    provider.reset(without("d77"))
    assert "BAD_REQUEST" in sql.error(f"SELECT {score(provider)} FROM numbers(200)")


def test_a_request_that_is_refused_for_itself_is_not_asked_for_each_row(sql: Sql, provider: Provider) -> None:
    """A wrong model or option: after a few rows that are refused alone, the others are not asked."""
    provider.reset(lambda _: Reply(400, {"message": "no such model"}))
    call = score(provider, others='\'{"on_error":"empty"}\'')
    assert sql.value(f"SELECT countIf(isNaN({call})) FROM numbers(900)") == 900
    assert len(provider.requests) < 40


def test_a_refused_key_fails_all_with_one_request(sql: Sql, provider: Provider) -> None:
    provider.reset(lambda _: Reply(401, {"message": "invalid key"}))
    call = score(provider, others='\'{"on_error":"empty"}\'')
    assert "AUTH" in sql.error(f"SELECT {call} FROM numbers(500)")
    assert len(provider.requests) == 1


def test_a_server_that_takes_less_than_its_limit(sql: Sql, provider: Provider) -> None:
    """What fits is found, and later requests of the process are no larger."""

    def script(request: Request) -> Reply:
        return pairs(request) if len(request.json["documents"]) <= 64 else Reply(413, {"message": "batch too large"})

    provider.reset(script)
    assert sql.value(f"SELECT countIf(isNaN({score(provider)})) FROM numbers(900)") == 0
    sent = [len(documents) for documents in asked(provider)]
    assert max(size for size in sent if size <= 64) > 32
    provider.requests.clear()
    assert sql.value(f"SELECT countIf(isNaN({score(provider, query=repr('other'))})) FROM numbers(900)") == 0
    assert max(len(documents) for documents in asked(provider)) <= 64


def test_a_row_falls_back_alone(sql: Sql, provider: Provider) -> None:
    """Rows whose shared request fails share the request to their fallback."""

    def script(request: Request) -> Reply:
        return Reply(503, {}) if request.path.startswith("/first") else pairs(request)

    provider.reset(script)
    second = {"provider": "Cohere", "base_url": f"{provider.url}/second/v1/rerank", "api_key": "k"}
    others = json.dumps({"timeout_s": 2, "fallback": [second]})
    url = f"{provider.url}/first/v1/rerank"
    call = f"RerankScore('q', concat('d', toString(number)), 'Cohere', '{url}', 'k', '{others}')"
    rows = sql.rows(f"SELECT number, {call} FROM numbers(300)")
    assert all(pair_score("q", f"d{number}") == pytest.approx(got, abs=1e-6) for number, got in rows)
    assert [len(request.json["documents"]) for request in provider.requests if request.path.startswith("/second")] == [
        300
    ]


def test_a_question_over_a_column(sql: Sql, provider: Provider) -> None:
    """A decision model: the query is what it reads, and each row's document a question of one request."""

    def script(request: Request) -> Reply:
        found = decision_model.documents(request.json)
        return Reply(json=decision_model.answer(request.json, {n: pair_score("", d) for n, d in found.items()}, 10))

    provider.reset(script)
    call = (
        f"RerankScore('coffee machine', concat('d', toString(number)), 'TypeSafe', '{provider.url}', 'k', "
        '\'{"question":"Is it a complaint?"}\')'
    )
    rows = sql.rows(f"SELECT number, {call} FROM numbers(20)")
    assert all(pair_score("", f"d{number}") == pytest.approx(got, abs=1e-6) for number, got in rows)
    assert len(provider.requests) == 1


def test_no_score_without_its_list(sql: Sql) -> None:
    """BM25 says so; a wrapper of it does not exist."""
    for name in ("BM25", "bm25"):
        assert "BM25 scores a document by its list" in sql.error(f"SELECT RerankScore('q', 'd', '{name}', '', '', '')")
    assert "BM25Score" in sql.error("SELECT BM25Score('q', 'd')")


def test_lists_that_are_scored_together_are_never_shared(sql: Sql, provider: Provider) -> None:
    provider.reset(pairs)
    call = score(provider, others="'{\"listwise\":true}'")
    assert sql.value(f"SELECT countIf(isNaN({call})) FROM numbers(30)") == 0
    assert {len(documents) for documents in asked(provider)} == {1} and len(provider.requests) == 30


def test_conditions_beside_a_score_come_first(sql: Sql, provider: Provider) -> None:
    """The wrapper is called for the rows that other conditions leave."""
    provider.reset(pairs)
    sql.rows("CREATE OR REPLACE TABLE scored (id UInt32, text String) ENGINE = MergeTree ORDER BY id")
    sql.rows("INSERT INTO scored SELECT number, concat('d', toString(number)) FROM numbers(1000)")
    call = score(provider, document="text")
    assert len(sql.rows(f"SELECT id FROM scored WHERE id = 77 AND {call} >= 0")) == 1
    assert asked(provider) == [["d77"]]


CONFIG = """
[network]
allow_private = ["127.0.0.1"]
[cache]
memory_s = 60
[limits]
max_calls = 20
[usage]
path = "{folder}/usage.jsonl"
"""


def test_usage_and_limits_count_shared_requests(
    worker: Callable[..., Worker], provider: Provider, tmp_path: Path
) -> None:
    """2,000 rows are within 20 calls; the sums of the log are what the provider counted; the cache knows each row."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    provider.reset(without("d7-"))
    one = worker(CLICKHOUSE_RERANK_CONFIG=str(path))
    rows = [row(provider.url, documents=[f"d{i}-", "common"], others={"on_error": "empty"}) for i in range(2000)]
    for _ in range(2):
        one.send(engine_bytes.chunk(rows, "JSONEachRow"))
        results = [json.loads(line)["result"] for line in one.lines(len(rows))]
        assert [i for i, result in enumerate(results) if not result] == [7]
    assert one.finish()[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "usage.jsonl").read_text().splitlines()]
    total = Counter[str]()
    for line in lines:
        for name in ("rows", "degraded", "documents", "cached", "requests", "attempts", "answered"):
            total[name] += line[name]
    answered = [documents for documents in asked(provider) if "d7-" not in documents]
    assert total["rows"] == 4000 and total["degraded"] == 2 and total["documents"] == 8000
    assert total["attempts"] == len(provider.requests) and total["answered"] == len(answered)
    assert total["documents"] - total["cached"] == sum(map(len, answered)) + 4  # and both of the failed row, twice
    assert len(provider.requests) <= math.ceil(2000 / (LIMIT - 1)) + 2 * math.log2(1000) + 3


def scored(provider: Provider) -> int:
    """Documents that were asked for since the last time."""
    count = sum(map(len, asked(provider)))
    provider.requests.clear()
    return count


def test_what_is_scored_is_what_the_page_says(sql: Sql, provider: Provider) -> None:
    """docs/scores.md, "Scores or lists"."""
    provider.reset(pairs)
    sql.rows("CREATE OR REPLACE TABLE scored (id UInt32, flag UInt8, text String) ENGINE = MergeTree ORDER BY id")
    sql.rows("INSERT INTO scored SELECT number, number < 40, concat('d', toString(number)) FROM numbers(3000)")
    call = score(provider, document="text")
    for query, documents in {
        f"SELECT id, {call} AS s FROM scored LIMIT 5": 5,
        f"SELECT id, {call} AS s FROM scored ORDER BY s DESC LIMIT 5": 3000,
        f"SELECT id FROM scored WHERE {call} > 0.5 LIMIT 5": 3000,
        f"SELECT id FROM scored WHERE flag AND {call} > 0.5 LIMIT 5": 40,
        f"SELECT id, {call} AS s FROM (SELECT * FROM scored ORDER BY id LIMIT 50) ORDER BY s DESC LIMIT 5": 50,
    }.items():
        assert 0 < len(sql.rows(query)) <= 5
        assert scored(provider) == documents, query


def test_a_column_is_filled_and_what_has_a_score_is_not_asked_again(sql: Sql, provider: Provider) -> None:
    """By ALTER TABLE ... UPDATE and by INSERT ... SELECT."""
    provider.reset(pairs)
    columns = "id UInt32, text String, s Float32 DEFAULT nan"
    sql.rows(f"CREATE OR REPLACE TABLE filled ({columns}) ENGINE = MergeTree ORDER BY id")
    sql.rows("INSERT INTO filled (id, text) SELECT number, concat('d', toString(number)) FROM numbers(1500)")
    call = score(provider, document="text")
    for condition, documents in (("id < 1000", 1000), ("isNaN(s)", 500), ("isNaN(s)", 0)):
        sql.rows(f"ALTER TABLE filled UPDATE s = {call} WHERE {condition} SETTINGS mutations_sync = 1")
        assert scored(provider) == documents
    rows = sql.rows("SELECT id, s FROM filled")
    assert all(pair_score("q", f"d{number}") == pytest.approx(got, abs=1e-6) for number, got in rows)
    sql.rows("INSERT INTO filled SELECT id + 5000, text, " + call + " FROM filled")
    assert scored(provider) == 1500
    assert sql.value("SELECT countIf(isNaN(s)) FROM filled") == 0

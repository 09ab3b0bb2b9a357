"""`others.passages` through SQL: the right document, the passage that answers, and the cost that was said."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import model_folder
from asking import settings
from clickhouse_rerank.config.models import Model
from clickhouse_rerank.config.tables import UsageSettings
from clickhouse_rerank.request.passages import Rules, cut
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.types import Row
from conftest import Sql
from provider import Provider, Reply, cohere

ANSWER = "One zebra sees two cold horses."
QUERY = "one zebra two horses."
DOCUMENTS, SENTENCES = 200, 60


def sentence(draw: random.Random) -> str:
    words = [draw.choice(("grass", "tree", "hill", "river", "stone", "cloud", "road", "house")) for _ in range(9)]
    return " ".join(words).capitalize() + ". "


def haystack(draw: random.Random, documents: int, sentences: int, at: int) -> list[str]:
    """Documents without the answer but one, which has it behind `at` of its sentences."""
    found = ["".join(sentence(draw) for _ in range(sentences)) for _ in range(documents)]
    place = draw.randrange(documents)
    own = [sentence(draw) for _ in range(sentences)]
    own[at] = ANSWER + " "
    found[place] = "".join(own)
    return found


def call(provider: str, url: str, documents: list[str], **passages: Any) -> tuple[str, dict[str, Any]]:
    key = "k" if url else ""
    others = json.dumps({"passages": {"size": 30, "overlap": 5, **passages}})
    return "{q:String}, {d:Array(String)}, 3, {p:String}, {u:String}, {k:String}, {o:String}", {
        "q": QUERY,
        "d": documents,
        "p": provider,
        "u": url,
        "k": key,
        "o": others,
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["Cohere", "BM25"])
def test_the_passage_that_answers(sql: Sql, provider: Provider, name: str, seed: int) -> None:
    """One sentence at a random place in one of 200 documents: its document is first, and the passage contains it."""
    draw = random.Random(seed)
    documents = haystack(draw, DOCUMENTS, SENTENCES, draw.randrange(SENTENCES))
    place = next(place for place, text in enumerate(documents) if ANSWER in text)
    url = provider.url if name == "Cohere" else ""
    arguments, parameters = call(name, url, documents, **{"return": "passage"})
    (best, *_) = sql.value(f"SELECT Rerank({arguments})", **parameters)
    assert best[0] == place and ANSWER in best[1] and best[1] in documents[place]
    arguments, parameters = call(name, url, documents, **{"return": "position"})
    (best, *_) = sql.value(f"SELECT Rerank({arguments})", **parameters)
    start, length = map(int, best[1].split(":"))
    assert ANSWER in documents[place][start : start + length]
    arguments, parameters = call(name, url, documents)
    assert sql.value(f"SELECT Rerank({arguments})", **parameters)[0][1] == documents[place]


@pytest.mark.parametrize(("at", "is_found"), [(0, True), (SENTENCES - 1, False)])
def test_the_first_passage_alone_finds_beginnings_only(sql: Sql, provider: Provider, at: int, is_found: bool) -> None:
    documents = haystack(random.Random(7), 20, SENTENCES, at)
    arguments, parameters = call("Cohere", provider.url, documents, score="first")
    best = sql.value(f"SELECT Rerank({arguments})", **parameters)[0]
    assert (ANSWER in best[1]) == is_found == (best[2] > 0)


def outcome(reranker: Reranker, row: Row) -> list[Any]:
    async def ask() -> list[Any]:
        try:
            found = await reranker.rank(row)
            return [found, list(reranker.shown(row, found))]
        finally:
            await reranker.aclose()

    return asyncio.run(ask())


@pytest.mark.parametrize("unit", ["words", "characters", "tokens"])
def test_a_model_in_the_worker(tmp_path: Path, unit: str) -> None:
    """CrossEncoder, also with passages by its own tokens; the whole document is cut before the answer."""
    folder = model_folder.make(tmp_path / "m", max_tokens=40)
    models = {"m": Model("m", folder)}
    documents = haystack(random.Random(3), 20, SENTENCES, 40)
    place = next(place for place, text in enumerate(documents) if ANSWER in text)
    size = {"words": 30, "characters": 150, "tokens": 30}[unit]
    others = {"passages": {"size": size, "overlap": 5, "unit": unit, "return": "passage", "most": 100}}
    row = Row(QUERY, documents, 1, "CrossEncoder", "", "", json.dumps(others))
    found, texts = outcome(Reranker(replace(settings(), models=models)), row)
    assert found[0][0] == place and ANSWER in texts[place] and len(texts[place]) < 400
    whole, _ = outcome(Reranker(replace(settings(), models=models)), replace(row, others=""))
    assert found[0][1] > whole[0][1] == 0.0 - 1


def test_the_cost_is_what_was_said(sql: Sql, provider: Provider, tmp_path: Path) -> None:
    """Requests, documents and left-out passages of a dry run are those of the call, and of the usage log."""
    documents = haystack(random.Random(5), 30, SENTENCES, 3)
    others = {"passages": {"size": 40, "overlap": 5, "most": 10}, "batch_size": 64}
    row = Row(QUERY, documents, 5, "Cohere", provider.url, "k", json.dumps(others | {"dry_run": True}))
    said = json.loads(Reranker(settings()).dry_run(row))
    log = tmp_path / "usage.jsonl"
    one = Reranker(replace(settings(), usage=UsageSettings(path=str(log))))
    outcome(one, replace(row, others=json.dumps(others)))
    assert said["requests"] == len(provider.requests) == 5
    assert said["documents"] == sum(len(request.json["documents"]) for request in provider.requests) == 300
    (line,) = map(json.loads, log.read_text().splitlines())
    behind = sum(len(list(cut(text, Rules(40, 5)))) - 10 for text in documents)
    assert said["left_out"] == line["left_out"] == behind > 100
    assert line["documents"] == 300


def test_equal_passages_are_sent_once(sql: Sql, provider: Provider) -> None:
    documents = ["Same words here. Other words there.", "Same words here. More words there."]
    arguments, parameters = call("Cohere", provider.url, documents, size=3, overlap=0)
    sql.rows(f"SELECT Rerank({arguments})", **parameters)
    assert [request.json["documents"] for request in provider.requests] == [
        ["Same words here. ", "Other words there.", "More words there."]
    ]
    assert provider.requests[0].json["top_n"] == 3


def test_rows_of_scores_share_requests(sql: Sql, provider: Provider) -> None:
    others = json.dumps({"passages": {"size": 2, "overlap": 0}})
    query = f"""SELECT RerankScore('b d', text, 'Cohere', '{provider.url}', 'k', '{others}')
        FROM (SELECT ['a a b b', 'c c d b', 'e e f f'][number + 1] AS text FROM numbers(3))"""
    assert [score for (score,) in sql.rows(query)] == [0.5, 1.0, 0.0]
    assert [len(request.json["documents"]) for request in provider.requests] == [6]


def test_a_fallback_gets_the_passages(sql: Sql, provider: Provider) -> None:
    provider.reset(lambda request: Reply(status=500))
    others = {"passages": {"size": 2, "overlap": 0, "return": "passage"}, "fallback": [{"provider": "BM25"}]}
    parameters = {"o": json.dumps(others | {"timeout_s": 1})}
    query = f"SELECT Rerank('zebra', ['a horse a zebra', 'a pear'], 1, 'Cohere', '{provider.url}', 'k', {{o:String}})"
    ((index, text, score),) = sql.value(query, **parameters)  # type: ignore[misc]
    assert (index, text, score > 0) == (0, "a zebra", True)


def test_documents_without_a_score(sql: Sql, provider: Provider) -> None:
    """Blank ones are not sent and come last; with `passthrough`, the order is kept, and no passage is known."""
    arguments, parameters = call("Cohere", provider.url, ["", "a zebra", "  "], **{"return": "passage"})
    found = sql.value(f"SELECT arrayMap(r -> (r.1, r.2, isNaN(r.3)), Rerank({arguments}))", **parameters)
    assert found == [(1, "a zebra", False), (0, "", True), (2, "  ", True)]
    provider.reset(lambda request: Reply(status=500))
    others = json.dumps({"passages": {"size": 1, "return": "passage"}, "on_error": "passthrough", "timeout_s": 1})
    query = f"SELECT Rerank('q', ['b a', 'c'], 2, 'Cohere', '{provider.url}', 'k', {{o:String}}).2"
    assert sql.value(query, o=others) == ["b a", "c"]


REFUSED = [
    ("Jina", {"passages": True, "model": "jina-reranker-v3"}, "scores documents against each other"),
    ("Cohere", {"passages": True, "listwise": True}, "scores documents against each other"),
    ("Cohere", {"passages": {"unit": "tokens"}}, 'Use "words" or "characters"'),
    (
        "Cohere",
        {"passages": True, "fallback": [{"provider": "Jina", "api_key": "k", "model": "jina-reranker-v3"}]},
        "Jina",
    ),
    ("Cohere", {"fallback": [{"provider": "BM25", "passages": True}]}, "belongs beside fallback"),
]


@pytest.mark.parametrize(("name", "others", "sentence"), REFUSED, ids=[sentence for *_, sentence in REFUSED])
def test_what_cannot_score_passages_is_refused(
    sql: Sql, provider: Provider, name: str, others: dict[str, Any], sentence: str
) -> None:
    """Before anything is sent."""
    query = f"SELECT Rerank('q', ['d'], 1, '{name}', '{provider.url}', 'k', {{o:String}})"
    assert sentence in sql.error(query, o=json.dumps(others))
    assert provider.requests == []


def test_the_limit_counts_passages(provider: Provider) -> None:
    others = json.dumps({"passages": {"size": 1, "overlap": 0}})
    row = Row("q", ["a b c"] * 4, 1, "Cohere", provider.url, "k", others)
    provider.reset(cohere)
    with pytest.raises(Exception, match=r"may have 11 documents .* one has 12 passages\. Raise others\.passages\.size"):
        outcome(Reranker(settings(max_documents=11)), row)
    assert provider.requests == []

"""A row becomes requests within the provider's limits, and their scores become its ranking."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asking import float32
from clickhouse_rerank.config.settings import Settings
from clickhouse_rerank.errors import CallerError, RequestRejectedError
from clickhouse_rerank.providers import PROVIDERS, RequestLimits
from clickhouse_rerank.request import plan, ranking
from clickhouse_rerank.request.endpoint import Endpoint, resolve
from clickhouse_rerank.types import Call, CallScores, Row, RowScores
from resolved import resolved


def row(documents: list[str], top_k: int = 3, query: str = "q") -> Row:
    return Row(query, documents, top_k, "Cohere", "", "key", "")


def asked(documents: list[str], endpoint: Endpoint, top_k: int = 3, query: str = "q") -> tuple[Call, list[plan.Part]]:
    one = row(documents, top_k, query)
    call = plan.call(one, plan.scored_positions(one), endpoint)
    return call, plan.parts(call, endpoint)


def limited(provider: str = "Cohere", base_url: str = "", *, limits: RequestLimits, **others: object) -> Endpoint:
    endpoint = resolved(provider, base_url, **others)
    return replace(endpoint, provider=replace(endpoint.provider, limits=limits))


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda text: not text.isspace())
documents = st.lists(texts, min_size=1, max_size=40, unique=True)


@given(documents, st.integers(1, 50), st.integers(1, 50), st.integers(90, 400))
def test_parts_hold_the_call_in_order_within_the_limits(found: list[str], top_k: int, size: int, bytes_: int) -> None:
    """Nothing is lost, doubled or moved; each part is what its body says and asks for what it can contribute."""
    endpoint = limited(limits=RequestLimits(documents=size, body_bytes=bytes_))
    try:
        call, parts = asked(found, endpoint, top_k)
    except RequestRejectedError:
        assert any(len(json.dumps(text, ensure_ascii=False).encode()) > bytes_ - 90 for text in found)
        return
    assert [text for part in parts for text in part.call.documents] == found == list(call.documents)
    assert [part.start for part in parts] == [sum(len(p.call.documents) for p in parts[:i]) for i in range(len(parts))]
    for part in parts:
        body = json.loads(part.body)
        assert body["documents"] == part.call.documents
        assert body["top_n"] == part.call.top_n == min(top_k, len(part.call.documents))
        assert len(part.body) <= bytes_
        assert 1 <= len(part.call.documents) <= size


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40), st.integers(1, 50), st.integers(1, 50))
def test_splitting_does_not_change_the_ranking(scores: list[float], top_k: int, size: int) -> None:
    """Each part returns only its best few, in any order, and still the row's best come out."""
    found = [f"text {i}" for i in range(len(scores))]
    whole, split = limited(limits=RequestLimits()), limited(limits=RequestLimits(documents=size))

    def best_of(endpoint: Endpoint) -> list[tuple[int, float]]:
        call, parts = asked(found, endpoint, top_k)
        answers = []
        for part in parts:
            numbered = list(enumerate(scores[part.start : part.start + len(part.call.documents)]))
            best = sorted(numbered, key=lambda pair: -pair[1])[: part.call.top_n]
            answers.append(best[::-1])
        one = row(found, top_k)
        gathered = ranking.gathered(parts, answers)
        return list(ranking.ranked(one, ranking.row_scores(one, plan.scored_positions(one), call, gathered), endpoint))

    assert [score for _, score in best_of(split)] == [score for _, score in best_of(whole)]
    expected = sorted(enumerate(map(float32, scores)), key=lambda pair: (-pair[1], pair[0]))
    if len(set(scores)) == len(scores):
        assert best_of(split) == expected[:top_k]


LIMITED = [record.name for record in PROVIDERS.values() if record.limits.documents]


@pytest.mark.parametrize("provider", LIMITED)
def test_each_limit_of_documents_is_kept(provider: str) -> None:
    """At the limit one request, one document more and it is two; others.batch_size goes before it, both ways."""
    base_url = "" if PROVIDERS[provider.lower()].url or provider == "Bedrock" else "https://example.com"
    most = PROVIDERS[provider.lower()].limits.documents
    assert most is not None
    found = [f"text {i}" for i in range(most + 1)]
    endpoint = resolved(provider, base_url)
    assert [len(part.call.documents) for part in asked(found[:most], endpoint)[1]] == [most]
    assert [len(part.call.documents) for part in asked(found, endpoint)[1]] == [most, 1]
    assert len(asked(found, resolved(provider, base_url, batch_size=most + 1))[1]) == 1
    assert len(asked(found[:4], resolved(provider, base_url, batch_size=3))[1]) == 2


def test_six_megabytes_for_sagemaker() -> None:
    """A body of exactly the limit is one request; a byte more and it is halved; two such documents are two."""
    endpoint = resolved("SageMaker", "my-endpoint")
    _, (small,) = asked(["a", "b"], endpoint)
    room = 6_291_456 - len(small.body)
    _, parts = asked(["a" * (room + 1), "b"], endpoint)
    assert [len(part.body) for part in parts] == [6_291_456]
    _, parts = asked(["a" * (room + 2), "b"], endpoint)
    assert [list(map(len, part.call.documents)) for part in parts] == [[room + 2], [1]]
    with pytest.raises(RequestRejectedError, match="TOO_LARGE: SageMaker takes at most 6291456 bytes in a request"):
        asked(["a" * 6_291_456], endpoint)


def test_the_container_of_sagemaker_has_limits_of_its_own() -> None:
    """With text-embeddings-inference inside, its 32 texts and 2,000,000 bytes count too."""
    found = [f"text {i}" for i in range(33)]
    assert len(asked(found, resolved("SageMaker", "my-endpoint"))[1]) == 1
    assert len(asked(found, resolved("SageMaker", "my-endpoint", wire="tei"))[1]) == 2
    assert len(asked(["a" * 1_500_000, "b" * 1_500_000], resolved("SageMaker", "my-endpoint", wire="tei"))[1]) == 2


def test_pairs_of_query_and_document_count_where_the_provider_counts_them() -> None:
    """ZeroEntropy's 5,000,000 bytes are UTF-8 bytes of query and document and 150 more for each document."""
    endpoint = resolved("ZeroEntropy")
    each = 5_000_000 // 4 - 150
    query, text = "é" * 100, "x" * (each - 200)
    found = [text[1:] + mark for mark in "abcd"]
    assert len(asked(found, endpoint, query=query)[1]) == 1
    assert len(asked([*found[:3], found[3] + "é"], endpoint, query=query)[1]) == 2
    with pytest.raises(
        RequestRejectedError, match="TOO_LARGE: ZeroEntropy takes at most 5000000 bytes of query and doc"
    ):
        asked(["x" * 5_000_000], endpoint)


LONG = (
    ("Bedrock", "", 32_000, "text"),
    ("Infinity", "https://example.com", 122_880, "text"),
    ("Mixedbread", "", 32_000, "query"),
)


@pytest.mark.parametrize(("provider", "base_url", "most", "what"), LONG)
def test_a_text_over_a_limit_of_characters_is_refused(provider: str, base_url: str, most: int, what: str) -> None:
    """At the limit it goes; a character more, and the error names limit and length, not the text."""
    endpoint = resolved(provider, base_url)
    over = "ü" * (most + 1)
    assert asked(["d"], endpoint, query=over[:-1])[1]
    with pytest.raises(RequestRejectedError) as raised:
        asked(["d"], endpoint, query=over)
    assert str(raised.value) == (
        f"Rerank: TOO_LARGE: {provider} takes at most {most} characters in a {what}; one has {most + 1}. Shorten it."
    )
    if what == "text":
        assert asked([over[:-1]], endpoint)[1]
        with pytest.raises(RequestRejectedError, match="TOO_LARGE"):
            asked(["d", over], endpoint)


LISTWISE = (
    ("Jina", "", {"batch_size": 2}),
    ("vLLM", "https://example.com", {"model": "jinaai/jina-reranker-v3", "batch_size": 2}),
    ("Pinecone", "", {"model": "jina-reranker-v3", "batch_size": 2}),
)


@pytest.mark.parametrize(("provider", "base_url", "others"), LISTWISE)
def test_a_listwise_model_never_gets_a_part_of_a_list(provider: str, base_url: str, others: dict[str, object]) -> None:
    """One request, or an error that names the number and says why."""
    endpoint = resolved(provider, base_url, **others)
    assert len(asked(["a", "b"], endpoint)[1]) == 1
    with pytest.raises(CallerError) as raised:
        asked(["a", "b", "c"], endpoint)
    assert raised.value.code == "BAD_ARGUMENT"
    assert "at most 2 documents" in str(raised.value) and "jina-reranker-v3 scores documents against each other" in str(
        raised.value
    )


def test_a_listwise_list_over_a_limit_of_bytes_is_refused_too() -> None:
    """The other way in which it would have to be cut."""
    endpoint = limited("Jina", limits=RequestLimits(body_bytes=200))
    with pytest.raises(CallerError, match="BAD_ARGUMENT: A request to Jina holds at most 200 bytes"):
        asked(["a" * 50] * 4, endpoint)


def test_a_provider_that_knows_no_top_n_returns_all() -> None:
    """It is not sent, and every part must come back whole."""
    call, parts = asked(["a", "b", "c"], resolved("Nebius", batch_size=2), top_k=1)
    assert "top_n" not in json.loads(parts[0].body)
    assert [part.call.top_n for part in parts] == [2, 1]
    assert call.top_n == 3


def test_bytes_that_are_no_text_reach_the_provider_as_replacement_characters() -> None:
    """And the lone halves of pairs in others too: some servers fail at them."""
    endpoint = resolved("Cohere", model_args={"note": "\ud800"})
    _, (part,) = asked(["a\udcff", "b"], endpoint)
    body = json.loads(part.body)
    assert body["documents"] == ["a\ufffd", "b"]
    assert "\ufffd" in body["note"]


@given(st.lists(st.sampled_from(["text", "", " ", "\t\n"]), max_size=8), st.integers(1, 10))
def test_blank_documents_are_never_sent_and_come_last(found: list[str], top_k: int) -> None:
    """In input order, as nan, and only as far as top_k reaches."""
    one = row(found, top_k)
    positions = list(plan.scored_positions(one))
    assert positions == [i for i, text in enumerate(found) if text.strip()]
    scores = RowScores([float(i) if text.strip() else None for i, text in enumerate(found)])
    found_ranking = ranking.ranked(one, scores, resolved("Cohere"))
    scored = [index for index, score in found_ranking if not math.isnan(score)]
    blank = [index for index, score in found_ranking if math.isnan(score)]
    assert [index for index, _ in found_ranking] == scored + blank
    assert scored == positions[::-1][:top_k]
    assert blank == [i for i, text in enumerate(found) if not text.strip()][: top_k - len(scored)]


def ranked(scores: list[float], **others: object) -> list[tuple[int, float]]:
    endpoint = resolve("Cohere", "", "key", json.dumps(others), Settings())
    one = row([f"text {i}" for i in range(len(scores))] + [""], 10)
    return list(ranking.ranked(one, RowScores([*scores, None]), endpoint))


def test_min_score_and_normalize() -> None:
    """min_score leaves out what is below it or was not scored, after normalize; both compare as Float32."""
    assert ranked([0.1, 0.3], min_score=0.3) == [(1, float32(0.3))]
    assert ranked([0.1, 0.1], min_score=0.1) == [(0, float32(0.1)), (1, float32(0.1))]
    assert ranked([-1000.0, 0.0, 1000.0], normalize="sigmoid", min_score=0.0) == [(2, 1.0), (1, 0.5), (0, 0.0)]
    assert ranked([2.0], normalize="none")[0] == (0, 2.0)
    assert ranked([2.0], min_score=1e300) == []  # beyond Float32
    assert ranked([2.0], min_score=-1e300) == [(0, 2.0)]


def test_equal_scores_are_in_order_of_position() -> None:
    """Scores that only Float32 or a sigmoid makes equal are not equal: the provider told them apart."""
    assert [index for index, _ in ranked([0.5, 0.7, 0.5, 0.7])][:4] == [1, 3, 0, 2]
    assert ranked([0.5, 0.5 + 1e-12, 0.5 - 1e-12], min_score=0) == [(1, 0.5), (0, 0.5), (2, 0.5)]
    assert ranked([41.0, 42.0], normalize="sigmoid")[:2] == [(1, 1.0), (0, 1.0)]


@given(st.lists(st.sampled_from(["a", "b", "c", "", " "]), min_size=1, max_size=12), st.booleans())
def test_each_document_gets_the_score_of_its_text(found: list[str], is_listwise: bool) -> None:
    """Whether equal documents are sent once or each for itself; blank ones get none."""
    one = row(found)
    positions = plan.scored_positions(one)
    call = plan.call(one, positions, resolved("Jina" if is_listwise else "Cohere"))
    assert len(call.documents) == (len(positions) if is_listwise else len({text for text in found if text.strip()}))
    scores = CallScores([float(ord(text)) for text in call.documents])
    assert ranking.row_scores(one, positions, call, scores) == [float(ord(t)) if t.strip() else None for t in found]


def test_a_listwise_score_belongs_to_its_position() -> None:
    """Equal documents may have different scores there, and blank documents move none of them."""
    one = row(["", "a", "a", " ", "b"])
    positions = plan.scored_positions(one)
    call = plan.call(one, positions, resolved("Jina"))
    assert ranking.row_scores(one, positions, call, CallScores([0.3, 0.2, None])) == [None, 0.3, 0.2, None, None]


@given(st.lists(st.sampled_from([None, 0.0, 0.5]), min_size=1, max_size=12))
def test_fresh_scores_fill_the_gaps_between_known_ones(known: list[float | None]) -> None:
    """In their order; known scores, zero included, stay."""
    gaps = [i for i, score in enumerate(known) if score is None]
    fresh = CallScores([float(i + 1) for i in gaps])
    completed = ranking.completed(CallScores(known), fresh, resolved("Cohere"))
    assert completed == [float(i + 1) if score is None else score for i, score in enumerate(known)]

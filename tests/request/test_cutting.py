"""Cutting documents: any text becomes slices that cover it, and passages' scores become documents' scores."""

from __future__ import annotations

import re
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse_rerank.errors import CallerError
from clickhouse_rerank.request.passages import Rules, Span, Starts, cut, cut_row, rules, shown
from clickhouse_rerank.types import Ranking, Row, RowScores

LONG = partial(settings, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.one_of(
    st.text(max_size=400),
    st.binary(max_size=200).map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.lists(
        st.sampled_from(
            ["word", "Ende.", "end!\n\n", "\n", " ", "日本語。", "漢", "ไทยภาษา", "e\u0301", "\u0301", "\0", "x" * 90]
        ),
        max_size=80,
    ).map("".join),
    st.lists(st.sampled_from(["one", "two.", "three", "四。"]), max_size=80).map(" ".join),
)


def every_third(text: str, start: int, count: int) -> list[int]:
    """Tokens of three characters, some of which begin in the same place, as bytes of one character do."""
    return [start, *(at for at in range(start + 3, len(text), 3) for _ in range(1 + at % 2))][: count + 1]


CUTS = st.tuples(st.integers(1, 30), st.integers(0, 15), st.sampled_from(["words", "characters", "tokens"])).map(
    lambda drawn: Rules(drawn[0], min(drawn[1], drawn[0] // 2), drawn[2])
)


def units(how: Rules) -> Starts | None:
    return every_third if how.unit == "tokens" else None


@LONG(max_examples=500)
@given(TEXTS, CUTS)
def test_passages_cover_the_text_in_order(text: str, how: Rules) -> None:
    """Each begins behind the start of the one before, and not behind its end; only an empty text has an empty one."""
    found = list(cut(text, how, units(how)))
    assert found[0].start == 0 and found[-1].end == len(text)
    for one, other in pairwise(found):
        assert one.start < other.start <= one.end < other.end
    assert all(one.start < one.end for one in found) or text == ""


@LONG(max_examples=300)
@given(TEXTS, CUTS)
def test_passages_are_slices_of_the_bytes(text: str, how: Rules) -> None:
    """Their bytes, without the overlaps, are the document's; `position` says where each is."""
    document = text.encode("utf-8", "surrogateescape")
    behind = 0
    whole = b""
    for span in cut(text, how, units(how)):
        row = Row("q", [text], 1, "", "", "", "")
        (place,) = shown(row, Ranking([(0, 1.0)], [span]), Rules(returns="position"))
        (passage,) = shown(row, Ranking([(0, 1.0)], [span]), Rules(returns="passage"))
        start, length = map(int, place.split(":"))
        assert document[start : start + length] == passage.encode("utf-8", "surrogateescape")
        whole += document[max(start, behind) : start + length]
        behind = start + length
    assert whole == document


@LONG(max_examples=300)
@given(TEXTS, CUTS)
def test_no_passage_is_longer_than_its_size(text: str, how: Rules) -> None:
    own = units(how)
    for span in cut(text, how, own):
        passage = text[span.start : span.end]
        if how.unit == "characters":
            assert len(passage) <= how.size
        elif how.unit == "words":
            assert len(re.findall(r"[^\s]+", passage)) <= how.size


def test_sentences_and_paragraphs_stay_whole() -> None:
    """Where one ends in the second half of a passage."""
    text = "One two three. Four five six.\n\nSeven eight nine. Ten eleven twelve."
    how = Rules(size=8, overlap=0)
    assert [text[a:b] for a, b in cut(text, how)] == [
        "One two three. Four five six.\n\n",
        "Seven eight nine. Ten eleven twelve.",
    ]
    assert [text[a:b] for a, b in cut(text, Rules(size=5, overlap=0))] == [
        "One two three. ",
        "Four five six.\n\n",
        "Seven eight nine. ",
        "Ten eleven twelve.",
    ]


@pytest.mark.parametrize(
    ("text", "size", "passages"),
    [
        ("東京は日本の首都です。大阪は商人の町です。", 13, ["東京は日本の首都です。", "大阪は商人の町です。"]),
        ("北京是中国的首都。上海是一个港口。", 12, ["北京是中国的首都。", "上海是一个港口。"]),
        ("กรุงเทพเป็นเมืองหลวง เชียงใหม่อยู่ทางเหนือ", 8, ["กรุงเทพเป็นเมืองหลวง ", "เชียงใหม่อยู่ทางเหนือ"]),
    ],
)
def test_scripts_without_spaces(text: str, size: int, passages: list[str]) -> None:
    assert [text[a:b] for a, b in cut(text, Rules(size=size, overlap=0))] == passages


def test_a_letter_keeps_its_marks() -> None:
    text = "e\u0301" * 10
    assert all(not text[start:].startswith("\u0301") for start, _ in cut(text, Rules(5, 0, "characters")))


def test_the_overlap_begins_with_a_sentence() -> None:
    text = "One two. Three four. Five six. Seven eight. Nine ten."
    found = [text[a:b] for a, b in cut(text, Rules(size=6, overlap=3))]
    assert found == ["One two. Three four. Five six. ", "Five six. Seven eight. Nine ten."]


ROW = Row("q", ["one two three four", "", "five six"], 3, "p", "", "", "")


def test_a_row_of_passages() -> None:
    """Behind the first `most` of a document, passages are left out and counted."""
    found = cut_row(ROW, Rules(size=1, overlap=0, most=3))
    assert found.row.documents == ["one ", "two ", "three ", "", "five ", "six"]
    assert (found.row.top_k, found.firsts, found.left_out) == (6, [0, 3, 4, 6], 1)


@pytest.mark.parametrize(
    ("score", "expected"),
    [("max", [0.9, None, 0.2]), ("first", [0.1, None, None]), ("mean_top_3", [0.5, None, 0.2])],
)
def test_scores_of_documents(score: str, expected: list[float | None]) -> None:
    """A passage without a score does not count; the best passage is shown, or the first."""
    found = cut_row(ROW, Rules(size=1, overlap=0, score=score))
    given = [0.1, 0.9, 0.3, 0.3, None, None, 0.2]
    scores, best = found.scores(RowScores(given))
    assert scores == [None if one is None else pytest.approx(one) for one in expected]
    first = Span(0, 4)
    assert best == [
        first if score == "first" else Span(4, 8),
        Span(0, 0),
        Span(0, 5) if score == "first" else Span(5, 8),
    ]


WRONG: list[tuple[Any, str]] = [
    (1, "must be true, false or an object"),
    ({"sise": 1}, "no key 'sise'. Did you mean size?"),
    ({"size": 0}, "size must be an integer from 1"),
    ({"size": True}, "size must be an integer from 1"),
    ({"size": 1.5}, "size must be an integer from 1"),
    ({"overlap": -1}, "overlap must be an integer from 0"),
    ({"size": 10, "overlap": 6}, "overlap must be at most half of size"),
    ({"unit": "bytes"}, "unit must be one of words, characters, tokens"),
    ({"score": "sum"}, "score must be one of max, first, mean_top_3"),
    ({"return": ["passage"]}, "return must be one of document, passage, position"),
]


@pytest.mark.parametrize(("value", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_mistakes_have_a_sentence(value: object, sentence: str) -> None:
    with pytest.raises(CallerError, match=re.escape(sentence)):
        rules(value)


def test_defaults() -> None:
    assert rules(True) == rules({}) == Rules()
    assert rules(False) is None
    assert rules({"size": 10}) == Rules(size=10, overlap=2)
    assert rules({"return": "passage"}) == Rules(returns="passage")

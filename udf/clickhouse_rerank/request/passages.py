"""Long documents as passages: where a document is cut, and how passages' scores become documents' scores. Pure.

A row of documents becomes a row of passages (`cut_row`), which is scored like any other row. `CutRow.scores` gives the
documents their scores, and says which passage of each is the best.

A passage ends at the last paragraph end in the second half of its length, else at the last sentence end there, else at
the last space there, else where its length is reached. The next one begins `overlap` before that end, at the first
sentence that begins there, if one does. So together the passages cover the document, and each is a slice of it.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple
from unicodedata import combining

from ..errors import CallerError
from ..types import Ranking, Row, RowScores, did_you_mean

_MAX_SIZE = 100_000
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "unit": ("words", "characters", "tokens"),
    "score": ("max", "first", "mean_top_3"),
    "return": ("document", "passage", "position"),
}
_KEYS = ("size", "overlap", "unit", "most", "score", "return")
_FIELDS = {"return": "returns"}
_TOP = 3
_MAX_MARKS = 16
"""Combining marks in a row that are kept with their letter."""

_SINGLE = "\u2e80-\u2fdf\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_WORD = re.compile(rf"[{_SINGLE}]|[{_UNSPACED}]{{1,4}}|[^\s{_SINGLE}{_UNSPACED}]{{1,40}}")
"""A word. Han characters and kana count one each; Thai, Lao, Burmese and Khmer, which have no spaces between words
either, one for each four characters; a longer word than forty characters counts for several."""
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE = re.compile(r"[.!?…؟۔।॥።]+[\"'”’»)\]]*\s+|[。．！？｡။។]+[」』）】”’]*\s*|\n\s*")
_SPACE = re.compile(r"\s+")

Starts = Callable[[str, int, int], Sequence[int]]
"""(text, start, count) -> where the units after `start` begin, at most count + 1 of them, the first at `start`."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How documents are cut, and what is made of their passages' scores."""

    size: int = 250
    """Longest passage, in units."""
    overlap: int = 50
    """Units at the end of a passage with which the next one begins again."""
    unit: str = "words"
    most: int = 32
    """Passages of a document that are scored, from its beginning."""
    score: str = "max"
    """What a document's score is: the best passage's, the first one's, or the mean of the best three."""
    returns: str = "document"
    """The text in the result: the document, its best passage, or that passage's `start:length` in bytes."""


def rules(value: object) -> Rules | None:
    """`others.passages` -> Rules; None for false. Errors: BAD_OTHERS."""
    if isinstance(value, bool):
        return Rules() if value else None
    if not isinstance(value, dict):
        raise CallerError("BAD_OTHERS", "others.passages must be true, false or an object.")
    for key, found in value.items():
        if key not in _KEYS:
            raise CallerError(
                "BAD_OTHERS",
                f"others.passages has no key {key[:60]!r}.{did_you_mean(key, _KEYS)} Known keys: {', '.join(_KEYS)}.",
            )
        if key in _CHOICES and found not in _CHOICES[key]:
            raise CallerError("BAD_OTHERS", f"others.passages.{key} must be one of {', '.join(_CHOICES[key])}.")
        if key not in _CHOICES and (type(found) is not int or not (key != "overlap") <= found <= _MAX_SIZE):
            least = int(key != "overlap")
            raise CallerError("BAD_OTHERS", f"others.passages.{key} must be an integer from {least} to {_MAX_SIZE}.")
    made = replace(Rules(), **{_FIELDS.get(str(key), str(key)): found for key, found in value.items()})
    if "overlap" not in value:
        made = replace(made, overlap=min(made.overlap, made.size // 5))
    if made.overlap > made.size // 2:
        raise CallerError("BAD_OTHERS", "others.passages.overlap must be at most half of size. Lower it.")
    return made


class Span(NamedTuple):
    """A slice of a document, in characters."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CutRow:
    """A row whose documents are the passages of another row's documents."""

    row: Row
    """Its top_k is the number of passages: a document's score may be that of its last one."""
    spans: Sequence[Span]
    """Of each passage, in its document."""
    firsts: Sequence[int]
    """For each document, which of the passages is its first; and at the end, how many passages there are."""
    left_out: int = 0
    """Passages behind the first `most` of their documents."""
    by: str = "max"
    """`score` of the rules."""

    def scores(self, passages: RowScores) -> tuple[RowScores, list[Span]]:
        """The scores of all passages -> the documents' scores, and each document's best passage.

        A document none of whose passages has a score has none; its first passage stands for it.
        """
        scores: list[float | None] = []
        best: list[Span] = []
        for first, behind in zip(self.firsts, self.firsts[1:], strict=False):
            own = passages[first : first + 1 if self.by == "first" else behind]
            known = sorted((score for score in own if score is not None), reverse=True)
            top = known[: _TOP if self.by == "mean_top_3" else 1]
            scores.append(sum(top) / len(top) if top else None)
            best.append(self.spans[first + (own.index(known[0]) if known else 0)])
        return RowScores(scores), best


def cut_row(row: Row, how: Rules, starts: Starts | None = None) -> CutRow:
    """The row of passages. `starts` gives the units of a text if they are tokens."""
    documents: list[str] = []
    spans: list[Span] = []
    firsts = [0]
    left_out = 0
    for document in row.documents:
        found = cut(document, how, starts)
        for span in islice(found, how.most):
            spans.append(span)
            documents.append(document[span.start : span.end])
        left_out += sum(1 for _ in found)
        firsts.append(len(spans))
    return CutRow(replace(row, documents=documents, top_k=len(documents)), spans, firsts, left_out, how.score)


def cut(text: str, how: Rules, starts: Starts | None = None) -> Iterator[Span]:
    """The passages of a text, in order: one at least, and together they cover it."""
    units = starts or _UNITS[how.unit]
    start = end = 0
    while True:
        own = units(text, start, how.size)
        if len(own) > how.size and own[how.size] <= end:  # an overlap of units that begin in the same place
            start = end
            continue
        if len(own) <= how.size:
            yield Span(start, len(text))
            return
        end = _end(text, start, end, max(own[how.size], end + 1))
        yield Span(start, end)
        start = _next(text, start, end, own, how.overlap)


def shown(row: Row, ranking: Ranking, how: Rules) -> Sequence[str]:
    """What a result shows of the row's documents: the ranked ones' passages, or where these are, in bytes."""
    if how.returns == "document" or not ranking.spans:
        return row.documents
    texts = [*row.documents]
    for (place, _), (start, end) in zip(ranking, ranking.spans, strict=True):
        document = row.documents[place]
        passage = document[start:end]
        texts[place] = passage if how.returns == "passage" else f"{_bytes(document[:start])}:{_bytes(passage)}"
    return texts


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def _end(text: str, start: int, behind: int, most: int) -> int:
    """Where the passage from `start` ends: behind `behind`, the end of the one before, and at `most` at the latest."""
    half = start + (most - start) // 2
    for boundary in (_PARAGRAPH, _SENTENCE, _SPACE):
        last = 0
        for match in boundary.finditer(text, max(half, behind), most):
            last = match.end()
        if last:
            return last
    end = most
    while combining(text[end]) and most - end < _MAX_MARKS:
        end -= 1
    return end if end > behind else most


def _next(text: str, start: int, end: int, own: Sequence[int], overlap: int) -> int:
    """Where the passage behind the one from `start` to `end` begins; `own` are the units from `start` on."""
    place = bisect_left(own, end) - overlap
    if not overlap or place <= 0:
        return end
    sentence = _SENTENCE.search(text, own[place], end)
    return sentence.end() if sentence and sentence.end() < end else own[place]


def _words(text: str, start: int, count: int) -> Sequence[int]:
    # White space before the first word belongs to it.
    found = [match.start() for match in islice(_WORD.finditer(text, start), count + 1)]
    return [start, *found[1:]] if found else [start]


def _characters(text: str, start: int, count: int) -> Sequence[int]:
    return range(start, min(start + count + 1, len(text)))


_UNITS: Mapping[str, Starts] = {"words": _words, "characters": _characters}

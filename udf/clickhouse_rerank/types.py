"""The records of a row on its way through the package.

Text is `str` decoded as UTF-8 with `surrogateescape`. ClickHouse Strings are arbitrary bytes, and this keeps invalid
bytes as they are. `sendable` makes the text that a provider receives, which has no surrogates.

Scores change their order three times on the way. Each order has a type of its own, so that mypy refuses to mix them:
Scores (a response) -> CallScores (a call) -> RowScores (a row) -> Ranking (the result).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NewType

_KEY = re.compile(r"[\x21-\x7e]{1,4096}")
_MAX_SUGGESTED_CHARS = 40
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")

Scores = list[tuple[int, float]]
"""What one response says: (position in the documents of the request, relevance score), in any order."""

CallScores = NewType("CallScores", list[float | None])
"""A relevance score for each document of a call, in the call's order; None where there is none."""

RowScores = NewType("RowScores", list[float | None])
"""A relevance score for each document of a row, in the row's order; None where there is none."""


class Ranking(list[tuple[int, float]]):
    """(position in the row's documents, score), best first; the score is nan where a document was not scored."""

    __slots__ = ("spans",)

    def __init__(self, places: Iterable[tuple[int, float]] = (), spans: Sequence[tuple[int, int]] = ()) -> None:
        super().__init__(places)
        self.spans = spans
        """For each place, where the best passage of its document begins and ends, in characters; else empty."""


@dataclass(frozen=True, slots=True)
class Row:
    """The seven arguments of one `Rerank(...)` call, as ClickHouse sends them."""

    query: str
    documents: list[str]
    top_k: int
    provider: str
    base_url: str = field(repr=False)
    api_key: str = field(repr=False)
    others: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """Documents to score for a query: `documents` has at least one, and none is blank. `top_n` is how many to return.

    `fields` are further members of the request body, by the provider's own names.
    """

    query: str
    documents: Sequence[str]
    top_n: int
    model: str
    fields: Mapping[str, object]
    score_label: str = ""
    sends_top_n: bool = True
    """False where the API always returns all documents and refuses a request with a number."""


class RequestNeed(NamedTuple):
    """What a call takes of a request: a whole one, or a part of one that calls with the same `group` share."""

    group: object = None
    """None for a call that shares no request."""
    documents: int = 1
    most: int = 1
    """Documents that one request may hold."""


class BilledUnits(NamedTuple):
    """What a provider charges for one response; 0 where the response does not say."""

    tokens: float = 0
    search_units: float = 0


class Secret:
    """A string that its repr hides; `reveal()` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def is_sendable(self) -> bool:
        """Whether it is valid in a header. HTTP libraries put an invalid header into their exceptions."""
        return _KEY.fullmatch(self._value) is not None

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(***)"


def printable(text: str) -> str:
    """The text on one line: a space for each character that cannot be printed."""
    return "".join(character if character.isprintable() else " " for character in text)


def sendable(text: str) -> str:
    """The text as valid Unicode, with U+FFFD for each invalid byte and each lone surrogate of a JSON escape."""
    return _NO_BYTE.sub("\ufffd", text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A sentence such as " Did you mean timeout_s?" for a misspelled name; "" where no known name is close to it.

    Case does not count. A long text is not a misspelled name, but a value in the wrong place, perhaps a key.
    """
    if len(given) > _MAX_SUGGESTED_CHARS:
        return ""
    from difflib import get_close_matches  # no process without a mistake needs it

    names = {name.lower(): name for name in known}
    close = get_close_matches(given.lower(), names, n=1)
    return f" Did you mean {names[close[0]]}?" if close else ""

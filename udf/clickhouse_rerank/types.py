"""The records that travel through a call.

Text is `str` decoded as UTF-8 with `surrogateescape`: ClickHouse Strings are arbitrary bytes, and this way invalid
ones come back byte for byte. A text goes to a provider through `sendable`, which has no surrogates.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_KEY = re.compile(r"[\x21-\x7e]{1,4096}")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")

Scores = list[tuple[int, float]]
"""(position in the documents asked about, relevance score), in any order; higher is more relevant."""

Ranking = list[tuple[int, float]]
"""(position in the row's documents, score), best first; the score is nan where a document was not scored."""


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
    """What one request asks: score `documents` (none blank, at least one) for `query`, return the best `top_n`.

    `fields` are further members of the request body, by the provider's own names.
    """

    query: str
    documents: Sequence[str]
    top_n: int
    model: str
    fields: Mapping[str, object]
    score_label: str = ""
    sends_top_n: bool = True
    """False where the API always returns all documents and refuses to be told how many."""


class BilledUnits(NamedTuple):
    """What a provider says that one answer is billed for; 0 where it says nothing."""

    tokens: float = 0
    search_units: float = 0


class Secret:
    """A string that does not show itself; `reveal()` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def is_sendable(self) -> bool:
        """Whether it can stand in a header: HTTP libraries put a header that cannot into their exceptions."""
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

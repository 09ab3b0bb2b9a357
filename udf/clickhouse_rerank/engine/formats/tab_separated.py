"""TabSeparated as ClickHouse writes and reads it: backslash escapes, arrays of single-quoted strings."""

import math
import re
from collections.abc import Sequence

from ...errors import CallerError
from ...types import Ranking, Row
from .lines import end_of_row

__all__ = ["EMPTY", "NOISE", "decode", "encode", "end_of_row"]

NOISE: frozenset[bytes] = frozenset()
EMPTY = b"[]\n"

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
# Possessive, so that the match of a large document keeps no position to backtrack to for each of its characters.
_ELEMENT = re.compile(r"'((?:[^'\\]++|\\.)*+)'(?:,|\Z)", re.DOTALL)
_UINT32 = re.compile(r"[0-9]{1,10}")
_UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_ESCAPED = (
    ("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\t", "\\t"),
    ("\r", "\\r"), ("\0", "\\0"), ("\b", "\\b"), ("\f", "\\f"),
)  # fmt: skip


def _escape(text: str) -> str:
    for character, escaped in _ESCAPED:
        text = text.replace(character, escaped)
    return text


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    if "\\\\" in text:
        return _ESCAPE.sub(lambda m: _UNESCAPED.get(m[1], m[1]), text)
    # Without an escaped backslash, each backslash begins an escape sequence.
    for character, escaped in _ESCAPED:
        text = text.replace(escaped, character)
    return text.replace("\\", "")


def decode(raw: bytes) -> Row:
    """One line -> Row. Errors: INPUT."""
    fields = raw.rstrip(b"\r\n").decode("utf-8", "surrogateescape").split("\t")
    if len(fields) != 7:
        raise CallerError("INPUT", f"A row has {len(fields)} columns, not 7. Compare <format> with --format.")
    query, documents, top_k, provider, base_url, api_key, others = fields
    if not _UINT32.fullmatch(top_k):
        raise CallerError("INPUT", "The third column is not a UInt32. Compare <format> with --format.")
    return Row(
        _unescape(query),
        _array(documents),
        int(top_k),
        _unescape(provider),
        _unescape(base_url),
        _unescape(api_key),
        _unescape(others),
    )


def _array(text: str) -> list[str]:
    if text[:1] != "[" or text[-1:] != "]":
        raise CallerError("INPUT", "The second column is not an Array(String). Compare <format> with --format.")
    if "\\\\" not in text and "\\','" not in text:
        # Each quote is escaped or one of the two of an element, so splitting is enough and much faster than _ELEMENT.
        plain = text[2:-2].split("','")
        if text[:2] == "['" and text[-2:] == "']" and text.count("'") - text.count("\\'") == 2 * len(plain):
            return [_unescape(element) for element in plain]
    elements: list[str] = []
    at, end = 1, len(text) - 1
    while at < end:
        element = _ELEMENT.match(text, at, end)
        if element is None:
            raise CallerError("INPUT", "The second column is not an Array(String). Compare <format> with --format.")
        elements.append(_unescape(element[1]))
        at = element.end()
    return elements


def encode(documents: Sequence[str], ranking: Ranking) -> bytes:
    """The ranked documents of one row -> one line."""
    items = ",".join(
        f"({i},'{_escape(documents[i])}',{'nan' if math.isnan(score) else repr(score)})" for i, score in ranking
    )
    return f"[{items}]\n".encode("utf-8", "surrogateescape")

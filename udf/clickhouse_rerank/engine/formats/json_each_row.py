"""JSONEachRow as ClickHouse writes and reads it: one object per line, in UTF-8 that may be invalid.

Quirks of ClickHouse: strings hold raw invalid bytes. With `output_format_json_array_of_rows=1` in the user's session,
rows come as `[`, `{...},`, `{...}`, `]` on separate lines, and `]` comes after the last row of the chunk. The engine
reads a bare NaN, and it reads null as 0.
"""

import json
import math
from collections.abc import Sequence

import orjson

from ...errors import CallerError
from ...types import Ranking, Row
from .lines import end_of_row

__all__ = ["EMPTY", "NOISE", "decode", "encode", "end_of_row"]

NOISE = frozenset((b"[", b"]", b""))
EMPTY = b'{"result":[]}\n'
_NAN = orjson.Fragment(b"NaN")


def decode(raw: bytes) -> Row:
    """One line -> Row. Errors: INPUT."""
    if b"," in raw[-3:]:
        raw = raw.rstrip(b",\r\n")
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError:
        row = _decode_invalid_utf8(raw)
    try:
        documents, top_k = row["documents"], row["top_k"]
        texts = [row[name] for name in ("query", "provider", "base_url", "api_key", "others")]
    except (TypeError, KeyError):
        raise CallerError(
            "INPUT", "A row lacks an argument. Register the function with its seven named arguments."
        ) from None
    whole = type(documents) is list and type(top_k) is int and top_k >= 0
    if not whole or not {str}.issuperset(map(type, (*texts, *documents))):
        raise CallerError("INPUT", "A row has an argument of a wrong type. Register String, Array(String) and UInt32.")
    return Row(texts[0], documents, top_k, texts[1], texts[2], texts[3], texts[4])


def _decode_invalid_utf8(raw: bytes) -> object:
    try:
        text = raw.decode("utf-8", "surrogateescape")
        row = json.loads(text, parse_constant=str)
        # An escaped lone surrogate cannot be encoded back to bytes. ClickHouse never writes one.
        json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except (ValueError, RecursionError):
        raise CallerError("INPUT", "A row is not JSON. Compare <format> in the registration with --format.") from None
    return row


def encode(documents: Sequence[str], ranking: Ranking) -> bytes:
    """The ranked documents of one row -> one line."""
    result = [[i, documents[i], _NAN if math.isnan(score) else score] for i, score in ranking]
    try:
        return orjson.dumps({"result": result}, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        items = ",".join(
            f"[{i},{json.dumps(documents[i], ensure_ascii=False)},{json.dumps(score)}]" for i, score in ranking
        )
        return f'{{"result":[{items}]}}\n'.encode("utf-8", "surrogateescape")

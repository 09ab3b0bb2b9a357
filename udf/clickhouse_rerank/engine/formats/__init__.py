"""The formats a worker speaks: pure bytes <-> records, no stream, no clock.

Each module has `end_of_row` (where a row ends in a buffer), `decode` (a row's bytes -> Row), `encode` (documents and
their ranking -> bytes), `EMPTY` (the encoding of no documents) and `NOISE` (lines that are no rows).
"""

from collections.abc import Sequence
from typing import Protocol

from ...types import Ranking, Row
from . import json_each_row, row_binary, tab_separated


class Format(Protocol):
    """What a module in this folder offers."""

    NOISE: frozenset[bytes]
    EMPTY: bytes

    def end_of_row(self, buffer: bytearray, start: int, progress: list[int]) -> int: ...

    def decode(self, raw: bytes) -> Row: ...

    def encode(self, documents: Sequence[str], ranking: Ranking) -> bytes: ...


FORMATS: dict[str, Format] = {
    "JSONEachRow": json_each_row,
    "TabSeparated": tab_separated,
    "RowBinary": row_binary,
}

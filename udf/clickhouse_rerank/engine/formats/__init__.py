"""The row formats of ClickHouse: pure functions between bytes and records, without streams and clocks.

Each module has `end_of_row` (where a row ends in a buffer), `decode` (bytes of a row -> Row), `encode` (documents and
their ranking -> bytes), `EMPTY` (the encoding of an empty result) and `NOISE` (lines that are not rows).
"""

from collections.abc import Sequence
from typing import Protocol

from ...types import Ranking, Row
from . import json_each_row, row_binary, tab_separated


class Format(Protocol):
    """What each module in this folder provides."""

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

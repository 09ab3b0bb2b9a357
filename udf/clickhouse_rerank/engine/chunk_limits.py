"""What a whole chunk may cost: its rows, its calls, its time."""

import math
from collections.abc import Callable

from ..config.tables import Limits
from ..errors import CallerError
from ..types import RequestNeed, Row


def check_rows(rows: int, limits: Limits) -> None:
    """Errors: TOO_MANY_ROWS for a chunk with more rows than the operator allows."""
    if rows > limits.max_rows:
        raise CallerError(
            "TOO_MANY_ROWS",
            f"A block may have {limits.max_rows} rows (limits.max_rows); one has {rows}. Set max_block_size, or rank "
            "fewer.",
        )


class CallCount:
    """Counts the calls that the different rows of a chunk may need: rows that share a request take one together.

    `need` takes a row and its digest.
    """

    def __init__(self, limits: Limits, need: Callable[[Row, bytes], RequestNeed | None]) -> None:
        self._most = limits.max_calls
        self._need = need
        self._counted: set[bytes] = set()
        self._calls = 0
        self._documents: dict[object, int] = {}
        """Group -> documents of its rows."""

    def add(self, row: Row, digest: bytes) -> None:
        """Count a row; one that was counted before does not count again. Errors: TOO_MANY_ROWS."""
        if digest in self._counted or (need := self._need(row, digest)) is None:
            return
        self._counted.add(digest)
        before = 0 if need.group is None else self._documents.get(need.group, 0)
        after = before + need.documents
        if need.group is not None:
            self._documents[need.group] = after
        self._calls += math.ceil(after / need.most) - math.ceil(before / need.most)
        if self._calls > self._most:
            raise CallerError(
                "TOO_MANY_ROWS",
                f"A block may need {self._most} calls (limits.max_calls), and one needs more. ClickHouse may call a "
                "function for rows that a condition beside it leaves out: put such conditions into PREWHERE, or the "
                "rows into a subquery with LIMIT (docs/cost.md). Else rank fewer rows, or set max_block_size.",
            )


def late(deadline_s: float | None) -> CallerError:
    """The error of a chunk whose time is over."""
    return CallerError(
        "TIMEOUT",
        f"The rows of a block were not ranked within {deadline_s:g} s (others.deadline_s), and the rest was not sent. "
        "Rank fewer rows, set a smaller max_block_size, or raise it.",
    )

"""What a whole chunk may cost: its rows, its calls, its time."""

from collections.abc import Callable

from ..config.tables import Limits
from ..errors import CallerError
from ..types import Row


def check_rows(rows: int, limits: Limits) -> None:
    """Errors: TOO_MANY_ROWS for a chunk with more rows than the operator allows."""
    if rows > limits.max_rows:
        raise CallerError(
            "TOO_MANY_ROWS",
            f"A block may have {limits.max_rows} rows (limits.max_rows); one has {rows}. Set max_block_size, or rank "
            "fewer.",
        )


class CallCount:
    """Counts the different rows of a chunk that may need a request. `may_need_request` takes a row and its digest."""

    def __init__(self, limits: Limits, may_need_request: Callable[[Row, bytes], bool]) -> None:
        self._most = limits.max_calls
        self._may_need_request = may_need_request
        self._counted: set[bytes] = set()

    def add(self, row: Row, digest: bytes) -> None:
        """Count a row; one that was counted before does not count again. Errors: TOO_MANY_ROWS."""
        if digest in self._counted or not self._may_need_request(row, digest):
            return
        if len(self._counted) == self._most:
            raise CallerError(
                "TOO_MANY_ROWS",
                f"A block may need {self._most} calls (limits.max_calls), and one needs more. ClickHouse may call a "
                "function for rows that a condition beside it leaves out: put such conditions into PREWHERE, or the "
                "rows into a subquery with LIMIT (docs/cost.md). Else rank fewer rows, or set max_block_size.",
            )
        self._counted.add(digest)


def late(deadline_s: float | None) -> CallerError:
    """The error of a chunk whose time is over."""
    return CallerError(
        "TIMEOUT",
        f"The rows of a block were not ranked within {deadline_s:g} s (others.deadline_s), and the rest was not sent. "
        "Rank fewer rows, set a smaller max_block_size, or raise it.",
    )

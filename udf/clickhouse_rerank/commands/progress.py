"""The progress line that a command shows on the terminal while a query runs on the embedded engine."""

import contextlib
import os
import time
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TextIO, TypeVar

from ..usage.counters import Counts, total

_EVERY_S = 0.1
_FIRST_AFTER_S = 0.5
_WIPE = "\r\x1b[K"
_COLUMNS = 80

_Result = TypeVar("_Result")


def show(work: "Future[_Result]", folder: Path, terminal: TextIO) -> None:
    """Show the progress in one line until the work is done, and wipe the line; show nothing if the work is quick.

    folder: where the workers write their counts. Returns early if the terminal can no longer be written to.
    """
    began = time.monotonic()
    if wait((work,), _FIRST_AFTER_S).done:
        return
    with contextlib.suppress(OSError):
        try:
            while not work.done():
                terminal.write(_WIPE + line(total(folder), time.monotonic() - began)[: _columns(terminal) - 1])
                terminal.flush()
                wait((work,), _EVERY_S)
        finally:
            # A closed terminal must not replace the exception of the signal that it sends.
            with contextlib.suppress(OSError):
                terminal.write(_WIPE)
                terminal.flush()


def line(counts: Counts, elapsed_s: float) -> str:
    """The line's text, the most important first, because a narrow terminal cuts off its end."""
    parts = (
        f"{counts.rows:,} of {counts.of:,} rows",
        f"{counts.requests:,} request{'s' * (counts.requests != 1)}",
        f"{counts.errors:,} error{'s' * (counts.errors != 1)}",
    )
    return f"{'Rerank: ' + ', '.join(parts) + '. ' if counts.of else ''}Elapsed: {elapsed_s:.1f} s."


def _columns(terminal: TextIO) -> int:
    try:
        return os.get_terminal_size(terminal.fileno()).columns or _COLUMNS
    except OSError:
        return _COLUMNS

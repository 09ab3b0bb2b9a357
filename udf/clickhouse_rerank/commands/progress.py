"""The line that a command shows on the terminal while a query runs on the embedded engine."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TextIO, TypeVar

from ..usage.counters import Counts, total

_EVERY_S = 0.1
_FIRST_AFTER_S = 0.5
_WIPE = "\r\x1b[K"
_COLUMNS = 80

_Result = TypeVar("_Result")


def started(work: Callable[[], _Result]) -> "Future[_Result]":
    """`work`, in a thread that the end of the process does not wait for: a query in the engine hears no Ctrl-C."""
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def show(work: "Future[_Result]", folder: Path, terminal: TextIO) -> None:
    """Wait for the work; when it takes long, show in one line how far it is. Nothing of the line is left."""
    began = time.monotonic()
    if wait((work,), _FIRST_AFTER_S).done:
        return
    try:
        while not work.done():
            terminal.write(_WIPE + line(total(folder), time.monotonic() - began)[: _columns(terminal) - 1])
            terminal.flush()
            wait((work,), _EVERY_S)
    finally:
        terminal.write(_WIPE)
        terminal.flush()


def line(counts: Counts, elapsed_s: float) -> str:
    """What is shown, the most important first."""
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

"""How far the workers of an embedded engine are: each writes it down, the command that waits for them shows the sum.

A worker has a file of four numbers in a folder that the command names, and writes it over ten times a second. What is
read may be a tenth of a second old. A worker that is named no folder writes nothing.
"""

import asyncio
import contextlib
import os
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TextIO, TypeVar

_NUMBERS = struct.Struct("<4Q")
_EVERY_S = 0.1
_FIRST_AFTER_S = 0.5
_WIPE = "\r\x1b[K"
_COLUMNS = 80

_Result = TypeVar("_Result")


@dataclass(slots=True)
class Counts:
    """What one worker did, or all of them."""

    rows: int = 0
    """Rows answered."""
    of: int = 0
    """Rows of the chunks that have begun."""
    requests: int = 0
    """Requests sent, each attempt counted."""
    errors: int = 0
    """Requests that failed."""


def tell(counts: Counts, folder: Path) -> None:
    """Write this process's counts down for as long as its loop runs; where that fails, queries need not."""
    loop = asyncio.get_running_loop()

    def write() -> None:
        with contextlib.suppress(OSError):
            os.pwrite(file, _NUMBERS.pack(*astuple(counts)), 0)
            loop.call_later(_EVERY_S, write)

    with contextlib.suppress(OSError):
        file = os.open(folder / str(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        write()


def total(folder: Path) -> Counts:
    """The sum of what all processes have written down."""
    told = [data for file in folder.iterdir() if len(data := file.read_bytes()) == _NUMBERS.size]
    return Counts(*map(sum, zip(*map(_NUMBERS.unpack, told), strict=True)))


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

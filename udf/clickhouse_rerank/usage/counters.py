"""The progress of a worker: rows, requests and errors so far, in a file that the waiting command reads.

Each worker has a file of four numbers in a folder that the command names, and overwrites it ten times a second. Without
a folder a worker writes nothing.
"""

import asyncio
import contextlib
import os
import struct
from dataclasses import astuple, dataclass
from pathlib import Path

_NUMBERS = struct.Struct("<4Q")
_EVERY_S = 0.1


@dataclass(slots=True)
class Counts:
    """The progress of one worker, or the sum of all."""

    rows: int = 0
    """Rows answered."""
    of: int = 0
    """Rows of all chunks that were started."""
    requests: int = 0
    """Requests sent, with retries."""
    errors: int = 0
    """Requests that failed."""


def publish(counts: Counts, folder: Path) -> None:
    """Write the counts of this process to `folder` while its loop runs. A failure stops the writing, but no query."""
    loop = asyncio.get_running_loop()

    def write() -> None:
        with contextlib.suppress(OSError):
            os.pwrite(file, _NUMBERS.pack(*astuple(counts)), 0)
            loop.call_later(_EVERY_S, write)

    with contextlib.suppress(OSError):
        file = os.open(folder / str(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        write()


def total(folder: Path) -> Counts:
    """The sum of the counts that all processes have written."""
    written = [data for file in folder.iterdir() if len(data := file.read_bytes()) == _NUMBERS.size]
    return Counts(*map(sum, zip(*map(_NUMBERS.unpack, written), strict=True)))

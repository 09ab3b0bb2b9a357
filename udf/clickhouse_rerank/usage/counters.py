"""How far a worker is: rows, requests and errors so far, written to a file that the waiting command reads.

Each worker has a file of four numbers in a folder that the command names, and overwrites it ten times a second. A
worker that is given no folder writes nothing.
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

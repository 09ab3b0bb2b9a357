"""The process's standard streams: rows in, answers out, and one error line for the SQL user.

At start the three descriptors are duplicated, and 0, 1 and 2 are pointed at /dev/null, so that no print, warning
or library can write into the protocol.
"""

import asyncio
import contextlib
import fcntl
import os
import select
import stat
import termios
from collections.abc import Callable

from ..errors import RerankError
from ..types import printable

_MAX_REPORT = 4000  # the engine reads 4,096 bytes of stderr before it stops polling; the rest would fail the next query
_READ_BYTES = 1 << 16  # all rows that are read at once are planned at once, while answers wait for their turn
_PIPE_BYTES = 1 << 20
_LOOK_AGAIN_S = 0.001


class Streams:
    """fds 0, 1 and 2 as found at start; 1 and 2 themselves lead nowhere from then on."""

    def __init__(self) -> None:
        self.input = os.dup(0)
        self.output = os.dup(1)
        self.errors = os.dup(2)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nowhere, fd)
        os.close(nowhere)
        for fd in (self.input, self.output, self.errors):
            if not os.isatty(fd):
                os.set_blocking(fd, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.input, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    async def read(self) -> bytes:
        """Some bytes, or b"" at the end."""
        while True:
            try:
                return os.read(self.input, _READ_BYTES)
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await _ready(self.input, loop.add_reader, loop.remove_reader)

    def abandoned(self) -> bool:
        """Whether nobody writes any more, although there may be bytes left to read."""
        writer = select.poll()
        writer.register(self.input, 0)
        return bool(writer.poll(0))

    async def write(self, data: bytes) -> None:
        """All of `data`."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.output, view) :]
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await _ready(self.output, loop.add_writer, loop.remove_writer)

    async def report(self, error: RerankError) -> None:
        """`say`, once all that was written has been read.

        The engine polls both pipes and then reads: a line that comes between poll and read, with the last answers
        behind it, would be found by the next query only. With nothing left to read, its next poll sees the line first.
        """
        while self._unread():  # noqa: ASYNC110 - a pipe does not tell when it is empty
            await asyncio.sleep(_LOOK_AGAIN_S)
        self.say(error)

    def _unread(self) -> bool:
        if not stat.S_ISFIFO(os.fstat(self.output).st_mode):
            return False
        reader = select.poll()
        reader.register(self.output, 0)
        return any(fcntl.ioctl(self.output, termios.FIONREAD, bytes(4))) and not reader.poll(0)

    def say(self, error: RerankError) -> None:
        """One line for the SQL user, in a single write; raises where it cannot be read, for empty answers would lie."""
        line = printable(str(error))
        os.write(self.errors, line.encode()[:_MAX_REPORT].decode("utf-8", "ignore").encode())


async def _ready(fd: int, watch: Callable[..., object], unwatch: Callable[[int], object]) -> None:
    ready = asyncio.get_running_loop().create_future()
    watch(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        unwatch(fd)

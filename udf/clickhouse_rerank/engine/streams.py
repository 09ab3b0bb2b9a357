"""The process's standard streams: rows in, answers out, and one error line for the SQL user.

At start the three descriptors are duplicated, and 0, 1 and 2 are redirected to /dev/null, so that no print, warning or
library can write into the protocol.
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
_READ_BYTES = 1 << 16  # all rows of one read are planned before the next answer is written: answers must not wait long
_PIPE_BYTES = 1 << 20
_POLL_S = 0.001


class Streams:
    """Duplicates of fds 0, 1 and 2 as they were at start; the three themselves lead to /dev/null from then on."""

    def __init__(self) -> None:
        self.input = os.dup(0)
        self.output = os.dup(1)
        self.errors = os.dup(2)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        for fd in (self.input, self.output, self.errors):
            if not os.isatty(fd):
                os.set_blocking(fd, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.input, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    async def read(self) -> bytes:
        """The next bytes of the input, or b"" at its end."""
        while True:
            try:
                return os.read(self.input, _READ_BYTES)
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await _ready(self.input, loop.add_reader, loop.remove_reader)

    def is_input_closed(self) -> bool:
        """Whether the writer has closed the input; there may still be bytes to read."""
        writer = select.poll()
        writer.register(self.input, 0)
        return bool(writer.poll(0))

    async def write(self, data: bytes) -> None:
        """Write all of `data`."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.output, view) :]
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await _ready(self.output, loop.add_writer, loop.remove_writer)

    async def report(self, error: RerankError) -> None:
        """Write an error line after the engine has read all answers so far.

        The engine polls both pipes and then reads. If a line comes between poll and read, and the last answers right
        after it, only the next query would find the line. With no answer left to read, the next poll finds the line.
        """
        while self._has_unread_output():  # noqa: ASYNC110 - nothing wakes a process when a pipe becomes empty
            await asyncio.sleep(_POLL_S)
        self.write_error(error)

    def _has_unread_output(self) -> bool:
        if not stat.S_ISFIFO(os.fstat(self.output).st_mode):
            return False
        reader = select.poll()
        reader.register(self.output, 0)
        return any(fcntl.ioctl(self.output, termios.FIONREAD, bytes(4))) and not reader.poll(0)

    def write_error(self, error: RerankError) -> None:
        """Write one line for the SQL user, in a single write.

        Errors: OSError if the pipe has no reader. The caller must then not write empty answers, which would look right.
        """
        line = printable(str(error))
        os.write(self.errors, line.encode()[:_MAX_REPORT].decode("utf-8", "ignore").encode())


async def _ready(fd: int, watch: Callable[..., object], unwatch: Callable[[int], object]) -> None:
    ready = asyncio.get_running_loop().create_future()
    watch(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        unwatch(fd)

"""The worker processes that ask one endpoint at the same time: ClickHouse runs several, and the limit is for them all.

Each that is busy holds a lock on a byte of a file that they share; how many bytes are locked is how many they are. The
system drops a process's locks when it ends, however it ends.
"""

import fcntl
import os
import struct
import time
from collections.abc import Callable

_MOST = 64
_RECOUNT_S = 0.25
_LOCK = struct.Struct("hhqqi")  # struct flock: type, whence, start, length, pid


class ProcessCount:
    """This process among those that ask the endpoint whose file has descriptor `file`; -1 for none to share with."""

    def __init__(self, file: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._place = -1
        self._inside = 0
        self._counted_at = -_RECOUNT_S
        self._count = 1

    def arrive(self) -> None:
        """Be counted from now on; once for each of the process's own that arrive."""
        self._inside += 1
        if self._file < 0 or self._inside > 1:
            return
        for place in range(_MOST):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError:
                continue
            self._place = place
            break
        self._counted_at = -_RECOUNT_S

    def depart(self) -> None:
        """Be counted no more, once all have departed."""
        self._inside -= 1
        if self._inside == 0 and self._place >= 0:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, self._place)
            self._place = -1

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = self._place = -1

    def count(self) -> int:
        """How many ask, this one included; as it was within the last quarter of a second."""
        now = self._clock()
        if self._file >= 0 and now - self._counted_at >= _RECOUNT_S:
            self._counted_at = now
            # Alone is the common case, and one question; which of several locks an answer names is not defined.
            places = range(_MOST) if self._is_taken(0, _MOST) else ()
            self._count = 1 + sum(self._is_taken(place, 1) for place in places)
        return self._count

    def _is_taken(self, place: int, length: int) -> bool:
        """Whether another process, for one's own locks do not count, has one on a place from `place` on."""
        asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, place, length, 0)
        return bool(_LOCK.unpack(fcntl.fcntl(self._file, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK)

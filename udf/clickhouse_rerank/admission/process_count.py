"""How many worker processes ask one host at the same time: ClickHouse runs several, and the limit is for all together.

Each host has a file. A process that asks the host holds a lock on one byte of it, so the number of locked bytes is the
number of processes. The system releases a process's locks when it ends, however it ends.

state    event            next     what happens
IDLE     arrive           COUNTED  lock a byte, if there is a file
                          ALONE    no file: no folder to share, or 16 other hosts are being asked
COUNTED  the last depart  IDLE     release the byte; the file stays open until another host needs its descriptor
ALONE    the last depart  IDLE     -
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from ..errors import CallerError
from .shared_folder import shared_file

_log = logging.getLogger("clickhouse_rerank")

_MAX_HOSTS = 16  # each needs a descriptor
_MAX_PROCESSES = 64
_RECOUNT_S = 0.25
_LOCK = struct.Struct("hhqqi")  # struct flock: type, whence, start, length, pid


class ProcessCount:
    """The processes that ask one host. `open_file` gives the descriptor of the host's file, or -1 for none."""

    def __init__(self, open_file: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._open_file = open_file
        self._file = -1
        self._clock = clock
        self._place = -1
        self._inside = 0
        self._counted_at = -_RECOUNT_S
        self._count = 1

    @property
    def is_idle(self) -> bool:
        """Whether this process does not ask the host at present."""
        return self._inside == 0

    def arrive(self) -> None:
        """Count this process from now on. Each of its endpoints at the host arrives and departs by itself."""
        self._inside += 1
        if self._inside > 1:
            return
        if self._file < 0:
            self._file = self._open_file()
            if self._file < 0:
                return
        for place in range(_MAX_PROCESSES):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError:
                continue
            self._place = place
            break
        self._counted_at = -_RECOUNT_S

    def depart(self) -> None:
        """Do not count this process any more, once all of its endpoints have departed."""
        self._inside -= 1
        if self._inside == 0 and self._place >= 0:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, self._place)
            self._place = -1

    def close(self) -> None:
        """Close the file; the next that arrives opens it again."""
        if self._file >= 0:
            os.close(self._file)
        self._file = self._place = -1
        self._count = 1

    def count(self) -> int:
        """How many processes ask the host, this one included; at most a quarter of a second old. 1 without a file."""
        now = self._clock()
        if self._file >= 0 and now - self._counted_at >= _RECOUNT_S:
            self._counted_at = now
            # Mostly there is no other, and one call tells. Which of several locks a call names is not defined.
            places = range(_MAX_PROCESSES) if self._is_taken(0, _MAX_PROCESSES) else ()
            self._count = 1 + sum(self._is_taken(place, 1) for place in places)
        return self._count

    def _is_taken(self, place: int, length: int) -> bool:
        """Whether another process holds a lock on one of `length` places; a process never sees its own locks."""
        asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, place, length, 0)
        return bool(_LOCK.unpack(fcntl.fcntl(self._file, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK)


class ProcessCounts:
    """The process count of each host. The files of at most 16 hosts are open; those of idle hosts make room first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: WeakValueDictionary[str, ProcessCount] = WeakValueDictionary()
        self._open: dict[str, ProcessCount] = {}
        self._has_warned = False

    def of(self, host: str) -> ProcessCount:
        """The count of a host: one object for all of its endpoints, since a process has one set of locks on a file."""
        name = hashlib.sha256(host.encode()).hexdigest()[:32]
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = ProcessCount(partial(self._opened, name))
        return found

    def close(self) -> None:
        """Close all files."""
        for process_count in self._open.values():
            process_count.close()
        self._open.clear()

    def _opened(self, name: str) -> int:
        if len(self._open) >= _MAX_HOSTS:
            idle = next((other for other, process_count in self._open.items() if process_count.is_idle), None)
            if idle is None:
                self._warn()
                return -1
            self._open.pop(idle).close()
        with contextlib.suppress(CallerError):
            file = shared_file(self._folder, f"{name}.asking")
            self._open[name] = self._known[name]
            return file
        return -1

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "This worker asks %d hosts at the same time, and worker processes share their limit for %d of them. "
                "Each further host may get limits.max_in_flight requests from each process.",
                len(self._open) + 1,
                _MAX_HOSTS,
            )

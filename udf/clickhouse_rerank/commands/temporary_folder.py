"""The embedded engine's temporary folder: private to one process, and removed even if that process was killed.

A living process holds a lock (flock) on a file in its folder, and the system releases the lock however the process
ends. So each new process can remove the folders that a killed one left behind.
"""

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
import weakref
from pathlib import Path

_PREFIX = "clickhouse-rerank-engine-"
_NAME = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}")
_LOCK = "lock"
_ENTRIES = frozenset((_LOCK, "udf", "progress", "usage", "files", "data"))
_MAX_PASSES = 3


class TemporaryFolder:
    """A new folder; `remove` removes it, at the latest when the process exits. Errors: OSError."""

    def __init__(self) -> None:
        remove_abandoned(Path(tempfile.gettempdir()))
        self.path, lock = _create()
        self.udf = self.path / "udf"
        """Launcher and registration."""
        self.progress = self.path / "progress"
        """One file per worker, with its counts."""
        self.usage = self.path / "usage"
        """The usage log, of a dry run or of a command that wants it."""
        self.files = self.path / "files"
        """What a command writes for its own SQL to read."""
        self.data = self.path / "data"
        """Tables, unless the user names a folder for them."""
        self._finalizer = weakref.finalize(self, _remove, self.path, lock)

    def remove(self) -> None:
        """Remove the folder with everything in it. A second call does nothing."""
        self._finalizer()


def remove_abandoned(parent: Path) -> None:
    """Remove the folders in `parent` whose processes have ended; what cannot be removed stays.

    A folder is removed only if it has the name, the owner, the mode and the entries that this module gives to its own,
    and if no process holds its lock.
    """
    with contextlib.suppress(OSError):
        for folder in sorted(parent.iterdir()):
            if _NAME.fullmatch(folder.name):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) != 0o700:
        return
    if {entry.name for entry in folder.iterdir()} <= _ENTRIES:
        _remove(folder, _lock(folder))


def _create() -> tuple[Path, int]:
    """A new folder and the descriptor of its lock, -1 where the file system has no locks."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            return folder, _lock(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # another process saw the folder before it was locked, and removes it
        except OSError:
            return folder, -1  # where this process cannot lock, another one cannot either, and leaves the folder alone


def _lock(folder: Path) -> int:
    """Lock a folder until the process ends; the descriptor that holds the lock.

    Errors: BlockingIOError where a process has locked it, FileNotFoundError where a process has removed it, OSError.
    """
    path = folder / _LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between open and flock, the holder may have removed the file: a lock on that one protects nothing.
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise BlockingIOError
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove(folder: Path, lock: int) -> None:
    # A worker that is starting, or a query that still runs, can add a file to a folder that was just emptied.
    for _ in range(_MAX_PASSES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
    if lock >= 0:
        os.close(lock)

"""A file of lines that the processes of a pool append to. A full file is renamed, and a new one is started.

A process may write to the file or rename it only while it holds the lock of the file that has the path at that moment.
Therefore no line is torn, and no line goes to a file that is about to be deleted. A renamed file keeps its new name, so
that a query which reads all files meanwhile reads no line twice. On any failure lines are lost, and a line in the log
gives the reason; no query fails.
"""

import fcntl
import logging
import os
import re
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..config.private_folder import is_of_others, make_private_folder
from ..config.tables import UsageSettings

_log = logging.getLogger("clickhouse_rerank")

_REST_S = 60.0
_MAX_RENAMES = 20  # by other processes, between opening and locking
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_STAMP = "%Y%m%dT%H%M%S.%fZ"


class UsageFile:
    """Appends whole lines. After a failure the file is not used for a minute; each reason is logged once."""

    def __init__(
        self,
        recording: UsageSettings,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = Path(recording.path)
        self._max_bytes = recording.max_bytes
        self._kept = recording.kept
        self._now = now
        self._clock = clock
        self._file = -1
        self._rest_until = -1.0
        self._logged: set[str] = set()

    def append(self, lines: bytes) -> bool:
        """Write lines, all or none. False means that another process is writing: call again."""
        if self._clock() < self._rest_until:
            return True
        try:
            return self._append(lines)
        except BlockingIOError:
            return False
        except OSError as error:
            self.rest(error.strerror or type(error).__name__)
        except ValueError as error:
            self.rest(str(error))
        return True

    def rest(self, reason: str) -> None:
        """Do not use the file for a minute; log the reason, if it is new."""
        self.close()
        self._rest_until = self._clock() + _REST_S
        if reason not in self._logged:
            self._logged.add(reason)
            _log.warning("The usage file %s is not written for the time being: %s", self._path, reason)

    def close(self) -> None:
        """Close the file; `append` opens it again."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _append(self, lines: bytes) -> bool:
        for _ in range(_MAX_RENAMES):
            if self._file < 0:
                self._file = self._opened()
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = os.fstat(self._file).st_size
            if not self._has_the_path():
                self.close()
            elif size and self._max_bytes and size + len(lines) > self._max_bytes:
                self._rename()
                self.close()
            else:
                self._write(lines, size)
                fcntl.flock(self._file, fcntl.LOCK_UN)
                return True
        return False

    def _opened(self) -> int:
        make_private_folder(self._path.parent, mode=0o750)
        file = os.open(self._path, _FLAGS, 0o640)
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or is_of_others(status):
            os.close(file)
            raise ValueError("it is not a file, or another user owns it or may write to it")
        return file

    def _has_the_path(self) -> bool:
        try:
            return os.path.samestat(self._path.lstat(), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def _write(self, lines: bytes, size: int) -> None:
        # A machine that crashed may have left half a line.
        torn = size and os.pread(self._file, 1, size - 1) != b"\n"
        data = b"\n" + lines if torn else lines
        written = os.write(self._file, data)
        if written < len(data):
            os.ftruncate(self._file, size)
            raise OSError(0, "No space left for all lines")

    def _rename(self) -> None:
        stem, suffix = self._path.stem, self._path.suffix
        form = re.compile(rf"{re.escape(stem)}\.(\d{{8}}T\d{{6}}\.\d{{6}}Z){re.escape(suffix)}")
        found = (form.fullmatch(file.name) for file in self._path.parent.iterdir())
        stamps = sorted(match[1] for match in found if match and _is_time(match[1]))
        at = datetime.fromtimestamp(self._now(), UTC)
        if stamps:  # the newest file has the last name, even if the clock was set back
            at = max(at, datetime.strptime(stamps[-1], _STAMP).replace(tzinfo=UTC) + timedelta(microseconds=1))
        stamps.append(at.strftime(_STAMP))
        self._path.rename(self._path.with_name(f"{stem}.{stamps[-1]}{suffix}"))
        for stamp in stamps[: max(0, len(stamps) - self._kept)]:
            with suppress(FileNotFoundError):
                self._path.with_name(f"{stem}.{stamp}{suffix}").unlink()


def _is_time(stamp: str) -> bool:
    """Whether this module writes stamps of this form; files with other stamps are never deleted."""
    try:
        return datetime.strptime(stamp, _STAMP).year < datetime.max.year
    except ValueError:
        return False

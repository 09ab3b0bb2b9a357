"""Scores in a SQLite file that the processes of a pool share. A fault of the file never fails a query.

Each value carries a checksum over its key and itself, because SQLite may read a damaged page without an error. A new
file is completed under a temporary name and then linked to its path, so that no process ever finds half a file.
"""

import logging
import os
import secrets
import sqlite3
import stat
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from ..config.private_folder import make_private_folder
from ..config.tables import CacheSettings

_log = logging.getLogger("clickhouse_rerank")

_KIND = 0x52524E4B
"""application_id of the file."""
_VERSION = 1
_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA application_id = {_KIND};
PRAGMA user_version = {_VERSION};
CREATE TABLE secret (value BLOB NOT NULL);
CREATE TABLE scores (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, at INTEGER NOT NULL, value BLOB NOT NULL);
"""
_SECRET_BYTES = 32
_BUSY_S = 0.01
_BUSY_AGAIN_S = 0.5
_REST_S = 60.0
_BATCH = 500
_BATCH_S = 0.2
_MAX_PENDING = 5000
_KEYS_PER_QUERY = 500
_CHECKSUM_BYTES = 4


class ScoreFile:
    """Values by key, written in batches. After a failure the file is unused for a minute; a reason is logged once."""

    def __init__(
        self, caching: CacheSettings, now: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.secret = b""
        """Key of the hashes that are the keys of this file; empty until the file is usable."""
        self._path = Path(caching.path)
        self._ttl_s = caching.ttl_s
        self._max_bytes = caching.max_bytes
        self._now = now
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._rest_until = -1.0
        self._pending: dict[bytes, bytes] = {}
        self._pending_since = 0.0
        self._busy_until = -1.0
        self._logged: set[str] = set()

    def is_usable(self) -> bool:
        """Whether the file can be read and written now; opens it if necessary."""
        if self._db is None and self._clock() >= self._rest_until:
            try:
                self._db = self._opened()
            except (sqlite3.Error, OSError, ValueError) as error:
                self._failed(error)
        return self._db is not None

    def get(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The values of these keys that are known and not too old."""
        found = {key: self._pending[key] for key in keys if key in self._pending}
        unknown = [key for key in keys if key not in found]
        now = int(self._now())
        try:
            for start in range(0, len(unknown), _KEYS_PER_QUERY):
                some = unknown[start : start + _KEYS_PER_QUERY]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, value FROM scores WHERE key IN ({marks}) AND at BETWEEN ? AND ?"  # noqa: S608
                assert self._db is not None
                for key, value in self._db.execute(query, (*some, now - self._ttl_s, now)):
                    if isinstance(key, bytes) and isinstance(value, bytes):
                        kept = value[:-_CHECKSUM_BYTES]
                        if value == kept + _checksum(key, kept):
                            found[key] = kept
        except sqlite3.Error as error:
            self._failed(error)
        return found

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values; a later `put` or `flush` writes them together with others."""
        if not self._pending:
            self._pending_since = self._clock()
        self._pending |= values
        if len(self._pending) >= _BATCH or self._clock() - self._pending_since > _BATCH_S:
            self.flush()

    def flush(self) -> None:
        """Write pending values, but not within half a second after another process held the lock."""
        if self._pending and self._clock() >= self._busy_until:
            self._write()
        if self._db is None or len(self._pending) > _MAX_PENDING:
            self._drop_pending()

    def _write(self) -> None:
        if self._db is None:
            return
        now = int(self._now())
        rows = [(key, now, value + _checksum(key, value)) for key, value in self._pending.items()]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._make_room(self._db, 2 * len(rows))
            self._db.executemany("INSERT OR REPLACE INTO scores (key, at, value) VALUES (?, ?, ?)", rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                self._failed(error)
                return
            self._busy_until = self._clock() + _BUSY_AGAIN_S
        else:
            self._pending.clear()

    def close(self) -> None:
        """Write pending values and close the file; `is_usable` opens it again."""
        if self._pending:
            self._write()
        self._drop_pending()
        self.secret = b""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
        self._db = None

    def _make_room(self, db: sqlite3.Connection, rows: int) -> None:
        """If the file is full, delete the `rows` oldest rows, more than come in: the file shrinks gradually."""
        pages, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size > self._max_bytes:
            db.execute("DELETE FROM scores WHERE id IN (SELECT id FROM scores ORDER BY id LIMIT ?)", (rows,))

    def _opened(self) -> sqlite3.Connection:
        make_private_folder(self._path.parent)
        if not self._path.exists():
            _create(self._path)
        status = self._path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise ValueError("it is not a file that only the server's user can use (mode 600)")
        db = sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True, timeout=_BUSY_S, isolation_level=None)
        try:
            db.text_factory = bytes
            db.execute("PRAGMA synchronous = OFF")
            kind = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
            if kind != [_KIND, _VERSION]:
                raise ValueError("it is a file of another program")
            (secret,) = db.execute("SELECT value FROM secret").fetchone() or (b"",)
            if not isinstance(secret, bytes) or len(secret) != _SECRET_BYTES:
                raise ValueError("it is damaged")
            self.secret = secret
        except BaseException:
            db.close()
            raise
        return db

    def _failed(self, error: Exception) -> None:
        """Do not use the file for a minute."""
        self._log_once(str(error))
        self._rest_until = self._clock() + _REST_S
        self._pending.clear()
        self.close()

    def _drop_pending(self) -> None:
        """Drop the values that could not be written."""
        if self._pending:
            self._log_once("another process holds its lock")
        self._pending.clear()

    def _log_once(self, reason: str) -> None:
        if reason not in self._logged:
            self._logged.add(reason)
            _log.warning("The cache %s is not used for the time being: %s", self._path, reason)


def _create(path: Path) -> None:
    """Create the file, unless another process has just created it."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 600, as SQLite's files beside it
    os.close(fd)
    try:
        with closing(sqlite3.connect(name)) as db:
            db.executescript(_SCHEMA)
            db.execute("INSERT INTO secret VALUES (?)", (secrets.token_bytes(_SECRET_BYTES),))
            db.commit()
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


def _checksum(key: bytes, value: bytes) -> bytes:
    return zlib.crc32(key + value).to_bytes(_CHECKSUM_BYTES, "little")

"""Scores in the memory of the process, for some seconds."""

import secrets
from collections.abc import Callable, Mapping, Sequence

_MAX_ENTRIES = 4000
_MAX_BYTES = 2 << 20
_ENTRY_BYTES = 200
"""Memory of an entry beside its value."""


class ScoreMemory:
    """Values by key of the last `seconds`, within bounds; the oldest are dropped first."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.secret = secrets.token_bytes(32)
        """Key of the hashes that are the keys."""
        self._seconds = seconds
        self._clock = clock
        self._entries: dict[bytes, tuple[float, bytes]] = {}
        self._bytes = 0

    def get(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The values of these keys that are known and not too old."""
        since = self._clock() - self._seconds
        found = ((key, self._entries.get(key)) for key in keys)
        return {key: entry[1] for key, entry in found if entry is not None and entry[0] > since}

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values, and drop the oldest."""
        now = self._clock()
        for key, value in values.items():
            self._drop(key)
            self._entries[key] = (now, value)
            self._bytes += len(value) + _ENTRY_BYTES
        while self._entries:
            oldest = next(iter(self._entries))
            is_over = len(self._entries) > _MAX_ENTRIES or self._bytes > _MAX_BYTES
            if not is_over and self._entries[oldest][0] > now - self._seconds:
                break
            self._drop(oldest)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry[1]) + _ENTRY_BYTES

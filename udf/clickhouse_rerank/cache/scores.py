"""Scores that were paid for before. The keys are keyed hashes and the values are numbers: no text is kept.

The memory of the process keeps an entry per call for some seconds, because ClickHouse evaluates a call with constant
arguments once per place in a query. The file, which the processes of a pool share, keeps an entry per pair of query
and document, so that a changed list of candidates pays for its new documents only. Where scores depend on the other
documents of the list, it keeps an entry per call too.
"""

import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from ..config.tables import CacheSettings
from ..request.endpoint import Endpoint
from ..types import Call, CallScores
from . import keys
from .memory import ScoreMemory

if TYPE_CHECKING:
    from .shadowed_file import ShadowedFile
    from .sqlite_file import ScoreFile

_MAX_ENDPOINTS = 256
_SCORE = struct.Struct("<d")


class _Store(Protocol):
    @property
    def secret(self) -> bytes:
        """Key of the hashes that are the store's keys."""

    def get(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]: ...

    def put(self, values: Mapping[bytes, bytes]) -> None: ...


class Lookup:
    """What the cache knows of a call's scores."""

    __slots__ = ("_keys", "_per_call", "_store", "missing", "scores")

    def __init__(
        self,
        scores: CallScores,
        missing: Call | None,
        store: _Store | None = None,
        keys: Sequence[bytes] = (),
        *,
        per_call: bool = False,
    ) -> None:
        self.scores = scores
        """None for each document whose score is not known."""
        self.missing = missing
        """The call for the documents whose scores are not known; None when all are known."""
        self._store = store
        self._keys = keys
        self._per_call = per_call

    def keep(self, fresh: CallScores) -> None:
        """Store the scores of the `missing` call."""
        if self._store is None:
            return
        if self._per_call:
            self._store.put({self._keys[0]: _packed(fresh)})
        else:
            pairs = zip(self._keys, fresh, strict=True)
            self._store.put({key: _SCORE.pack(score) for key, score in pairs if score is not None})


class Cache:
    """Uses the file if one is configured and usable, else the memory. A dry run reads the file and never writes it."""

    def __init__(
        self, caching: CacheSettings, clock: Callable[[], float] = time.monotonic, *, is_dry_run: bool = False
    ) -> None:
        self._memory = ScoreMemory(caching.memory_s, clock) if caching.memory_s else None
        self._file = _file(caching, is_dry_run=is_dry_run) if caching.path else None
        self._endpoint_bytes: dict[int, tuple[Endpoint, bytes]] = {}

    def look(self, call: Call, endpoint: Endpoint, digest: bytes = b"") -> Lookup:
        """What is known of a call to an endpoint.

        `digest` is a hash of the whole row, if the caller has one. It saves hashing the texts again for the memory.
        """
        store = self._store() if endpoint.options.cache else None
        if store is None:
            return Lookup(_unknown(call), call)
        prefix, in_memory = self._bytes_of(endpoint), store is self._memory
        if in_memory or endpoint.is_listwise:
            return _look_up_call(store, call, prefix, (in_memory and digest) or keys.call_bytes(call, endpoint))
        return _look_up_pairs(store, call, prefix)

    def flush(self) -> None:
        """Write pending scores to the file; the best time is when there is no other work."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Write pending scores, and close the file."""
        if self._file is not None:
            self._file.close()

    def _store(self) -> "_Store | None":
        if self._file is not None and self._file.is_usable():
            return self._file
        return self._memory

    def _bytes_of(self, endpoint: Endpoint) -> bytes:
        """`keys.endpoint_bytes`, computed once per endpoint."""
        known = self._endpoint_bytes.get(id(endpoint))
        if known is None:
            if len(self._endpoint_bytes) >= _MAX_ENDPOINTS:
                self._endpoint_bytes.clear()
            # The endpoint is kept too, so that no other object gets its id.
            known = self._endpoint_bytes[id(endpoint)] = (endpoint, keys.endpoint_bytes(endpoint))
        return known[1]


def _file(caching: CacheSettings, *, is_dry_run: bool) -> "ScoreFile | ShadowedFile":
    from .sqlite_file import ScoreFile  # loads SQLite, which only a configured file needs

    if not is_dry_run:
        return ScoreFile(caching)
    from .shadowed_file import ShadowedFile

    return ShadowedFile(ScoreFile(caching))


def _unknown(call: Call) -> CallScores:
    return CallScores([None] * len(call.documents))


def _look_up_call(store: _Store, call: Call, prefix: bytes, rest: bytes) -> Lookup:
    key = keys.of_call(store.secret, prefix, rest)
    value = store.get([key]).get(key)
    scores = _unknown(call)
    if value is None:
        return Lookup(scores, call, store, [key], per_call=True)
    for position, score in _unpacked(value):
        scores[position] = score
    return Lookup(scores, None)


def _look_up_pairs(store: _Store, call: Call, prefix: bytes) -> Lookup:
    all_keys = keys.of_pairs(store.secret, prefix, call)
    known = store.get(all_keys)
    scores = CallScores([_SCORE.unpack(known[key])[0] if key in known else None for key in all_keys])
    missing = [position for position, score in enumerate(scores) if score is None]
    if not missing:
        return Lookup(scores, None)
    # The missing call returns all scores, not the best few: an entry must serve any list that the document is in.
    documents = [call.documents[position] for position in missing]
    rest = replace(call, documents=documents, top_n=len(documents))
    return Lookup(scores, rest, store, [all_keys[position] for position in missing])


def _packed(scores: CallScores) -> bytes:
    """The scores of a call that are not None, with their positions: a provider may return the best few of many."""
    positions = [position for position, score in enumerate(scores) if score is not None]
    values = [score for score in scores if score is not None]
    return struct.pack(f"<{len(values)}I{len(values)}d", *positions, *values)


def _unpacked(value: bytes) -> Iterable[tuple[int, float]]:
    count = len(value) // 12
    numbers = struct.unpack(f"<{count}I{count}d", value)
    return zip(numbers[:count], numbers[count:], strict=True)

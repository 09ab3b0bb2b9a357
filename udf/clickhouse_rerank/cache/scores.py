"""Scores that were paid for before. Its keys are keyed hashes and its values numbers: no text is kept.

In the process's memory a call is an entry, for some seconds, because ClickHouse evaluates a call of constants once per
place it is written in. In a file, which the processes of a pool share, a pair of query and document is an entry, so
that a changed list of candidates pays for its new documents only; a call is, where scores depend on one another.
"""

import json
import secrets
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from .. import __version__
from ..config.tables import CacheSettings
from ..request.endpoint import Endpoint
from ..types import Call, Scores

if TYPE_CHECKING:
    from .sqlite_file import ScoreFile

_MOST_ENTRIES = 4000
_MOST_BYTES = 2 << 20
_ENTRY_BYTES = 200
"""What an entry takes in memory beside its value."""
_MOST_ENDPOINTS = 256
_KEY_BYTES = 16
_JSON = json.JSONEncoder(sort_keys=True, default=repr).encode


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a call's scores, and what is left to ask."""

    scores: Scores
    missing: Call | None
    """The call for what is not known; None when all is."""
    keep: Callable[[Scores], Scores]
    """Scores of `missing` -> scores of the whole call; keeps those that came."""


class _Store(Protocol):
    secret: bytes

    def get(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]: ...

    def put(self, values: Mapping[bytes, bytes]) -> None: ...


class Cache:
    """Looks in the file where one is configured and can be used, else in memory."""

    def __init__(self, caching: CacheSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._memory = _Memory(caching.memory_s, clock) if caching.memory_s else None
        self._file = _file(caching) if caching.path else None
        self._asking: dict[int, tuple[Endpoint, bytes]] = {}

    def look(self, call: Call, endpoint: Endpoint, digest: bytes = b"") -> Found:
        """What is known of a call to an endpoint; `digest`, where there is one, tells its row from any other."""
        store = self._store() if endpoint.options.cache else None
        if store is None:
            return Found([], call, lambda scores: scores)
        asking, in_memory = self._asked(endpoint), store is self._memory
        if in_memory or endpoint.is_listwise:
            return _by_call(store, call, asking, (in_memory and digest) or _texts(call, endpoint))
        return _by_pair(store, call, asking)

    def _store(self) -> "_Store | None":
        if self._file is not None and self._file.is_usable():
            return self._file
        return self._memory

    def _asked(self, endpoint: Endpoint) -> bytes:
        """`_asking`, once per endpoint."""
        known = self._asking.get(id(endpoint))
        if known is None:
            if len(self._asking) >= _MOST_ENDPOINTS:
                self._asking.clear()
            known = self._asking[id(endpoint)] = (endpoint, _asking(endpoint))
        return known[1]

    def settle(self) -> None:
        """Write down what is kept so far: a good moment is when there is nothing else to do."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """`settle`, for the last time."""
        if self._file is not None:
            self._file.close()


def _file(caching: CacheSettings) -> "ScoreFile":
    from .sqlite_file import ScoreFile  # SQLite is for those who configure it

    return ScoreFile(caching)


class _Memory:
    """Entries of the last `seconds`, within bounds; the oldest go first."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.secret = secrets.token_bytes(32)
        self._seconds = seconds
        self._clock = clock
        self._entries: dict[bytes, tuple[float, bytes]] = {}
        self._bytes = 0

    def get(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        since = self._clock() - self._seconds
        found = ((key, self._entries.get(key)) for key in keys)
        return {key: entry[1] for key, entry in found if entry is not None and entry[0] > since}

    def put(self, values: Mapping[bytes, bytes]) -> None:
        now = self._clock()
        for key, value in values.items():
            self._drop(key)
            self._entries[key] = (now, value)
            self._bytes += len(value) + _ENTRY_BYTES
        while self._entries:
            oldest = next(iter(self._entries))
            is_over = len(self._entries) > _MOST_ENTRIES or self._bytes > _MOST_BYTES
            if not is_over and self._entries[oldest][0] > now - self._seconds:
                break
            self._drop(oldest)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry[1]) + _ENTRY_BYTES


def _texts(call: Call, endpoint: Endpoint) -> bytes:
    """What a call asks."""
    # A list that must not be cut is refused or not by batch_size; elsewhere that changes no score.
    size = endpoint.options.batch_size if endpoint.is_listwise else None
    return _framed((str(call.top_n), str(size), call.query, *call.documents))


def _by_call(store: _Store, call: Call, asking: bytes, asked: bytes) -> Found:
    digest = blake2b(asking, key=store.secret, digest_size=_KEY_BYTES, person=b"call")
    digest.update(asked)
    key = digest.digest()
    value = store.get([key]).get(key)

    def keep(scores: Scores) -> Scores:
        numbers = (*(at for at, _ in scores), *(score for _, score in scores))
        store.put({key: struct.pack(f"<{len(scores)}I{len(scores)}d", *numbers)})
        return scores

    if value is None:
        return Found([], call, keep)
    count = len(value) // 12
    numbers = struct.unpack(f"<{count}I{count}d", value)
    return Found(list(zip(numbers[:count], numbers[count:], strict=True)), None, keep)


def _by_pair(store: _Store, call: Call, asking: bytes) -> Found:
    query = blake2b(asking, key=store.secret, digest_size=_KEY_BYTES, person=b"pair")
    query.update(_framed((call.query,)))
    keys = []
    for document in call.documents:
        digest = query.copy()
        digest.update(_bytes(document))
        keys.append(digest.digest())
    known = store.get(keys)
    scores = [(at, struct.unpack("<d", known[key])[0]) for at, key in enumerate(keys) if key in known]
    left = [at for at, key in enumerate(keys) if key not in known]

    def keep(fresh: Scores) -> Scores:
        store.put({keys[left[at]]: struct.pack("<d", score) for at, score in fresh})
        return scores + [(left[at], score) for at, score in fresh]

    # All scores are asked for, not the best few: what is kept must do for any list the document is in.
    missing = replace(call, documents=[call.documents[at] for at in left], top_n=len(left)) if left else None
    return Found(scores, missing, keep)


def _asking(endpoint: Endpoint) -> bytes:
    """What a score depends on beside the texts, and who asks: users share entries only with a key in common."""
    chosen = endpoint.options
    return _framed(
        (
            __version__,
            endpoint.provider.name,
            endpoint.url,
            endpoint.wire,
            endpoint.model,
            _JSON((endpoint.provider.fixed, chosen.fields, chosen.model_args)),
            _JSON(endpoint.headers),
            chosen.score_label,
            endpoint.key.reveal(),
            chosen.access_key_id,
            chosen.session_token,
            chosen.region_name,
            endpoint.credential if endpoint.uses_server_identity else "",
            str(endpoint.is_listwise),
        )
    )


def _framed(texts: Iterable[str]) -> bytes:
    """Their number, their lengths and themselves, so that no two lists of texts give the same bytes."""
    parts = [_bytes(text) for text in texts]
    return struct.pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts)) + b"".join(parts)


def _bytes(text: str) -> bytes:
    """Different texts are different bytes, those that stand for invalid UTF-8 included."""
    return text.encode("utf-8", "surrogatepass")

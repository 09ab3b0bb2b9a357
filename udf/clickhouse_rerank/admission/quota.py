"""The requests and documents that a credential may send in a minute, counted by all processes of the pool together.

Each credential with a limit has a file of sixty slots that all processes share. Second n of the system's monotonic
clock has slot n % 60, which holds [second, requests, documents]. A slot is counted if its second is one of the last
sixty and belongs in that slot. Anything else, such as what is left from before a restart of the machine, is ignored.
"""

import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

from ..config.credentials import Credential
from ..config.settings import Settings
from ..errors import ProviderFailedError
from .shared_folder import shared_file, shared_folder

_SLOT = struct.Struct("<qII")
_SLOTS = 60
_MAX_COUNT = 2**32 - 1


class Quota:
    """What one credential has sent in the last minute."""

    def __init__(self, credential: Credential, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._credential = credential
        self._clock = clock
        name = hashlib.sha256(credential.name.encode()).hexdigest()[:32]
        self._file = shared_file(folder, f"{name}.minute")

    def spend(self, documents: int) -> None:
        """Count a request with so many documents. Errors: REQUEST_LIMIT, DOCUMENT_LIMIT; it is not counted then."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            now = int(self._clock())
            raw = os.pread(self._file, _SLOT.size * _SLOTS, 0)
            slots = enumerate(_SLOT.iter_unpack(raw[: len(raw) // _SLOT.size * _SLOT.size]))
            recent = {
                second: counts
                for at, (second, *counts) in slots
                if now - _SLOTS < second <= now and second % _SLOTS == at
            }
            sent = [sum(counts) for counts in zip((0, 0), *recent.values(), strict=True)]
            self._check("REQUEST_LIMIT", "requests", 1, sent[0], self._credential.requests_per_minute)
            self._check("DOCUMENT_LIMIT", "documents", documents, sent[1], self._credential.documents_per_minute)
            before = recent.get(now, (0, 0))
            slot = _SLOT.pack(now, min(before[0] + 1, _MAX_COUNT), min(before[1] + documents, _MAX_COUNT))
            os.pwrite(self._file, slot, now % _SLOTS * _SLOT.size)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _check(self, code: str, unit: str, more: int, sent: int, limit: int | None) -> None:
        if limit is None or sent + more <= limit:
            return
        may = f"The credential 'cred:{self._credential.name}' may send {limit} {unit} a minute"
        if more > limit:
            raise ProviderFailedError(code, f"{may}, and one request has {more}. Set others.batch_size.")
        raise ProviderFailedError(
            code, f"{may}, and has sent {sent}. Wait, or ask the operator for more {unit}_per_minute."
        )


def quotas(settings: Settings) -> dict[str, Quota]:
    """The quota of each credential that has one, by the credential's name.

    Errors: CONFIG where the processes have no folder to count in together.
    """
    limited = [c for c in settings.credentials.values() if c.requests_per_minute or c.documents_per_minute]
    return {credential.name: Quota(credential, shared_folder(settings)) for credential in limited}

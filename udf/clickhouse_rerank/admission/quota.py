"""What a credential may spend in a minute, counted by all processes of the pool together.

Each credential with a limit has a file of sixty slots, one per second of the system's monotonic clock, which all
processes share: [second, requests, documents]. A slot counts while its second is among the last sixty. Whatever else
stands in the file, after a restart of the machine or by an accident, is of no such second and counts nothing.
"""

import fcntl
import hashlib
import os
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ..config.credentials import Credential
from ..config.private_folder import make_private_folder
from ..config.schema import wrong
from ..config.settings import Settings
from ..errors import ProviderFailedError

_SLOT = struct.Struct("<qII")
_SLOTS = 60
_MOST = 2**32 - 1


class Quota:
    """Counts what one credential sends; each request is either counted or refused."""

    def __init__(self, credential: Credential, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._credential = credential
        self._clock = clock
        name = hashlib.sha256(credential.name.encode()).hexdigest()[:32]
        self._file = shared_file(folder, f"{name}.minute")

    def spend(self, documents: int) -> None:
        """Count a request of so many documents. Errors: REQUEST_LIMIT, DOCUMENT_LIMIT; then it must not be sent."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            now = int(self._clock())
            raw = os.pread(self._file, _SLOT.size * _SLOTS, 0)
            slots = list(_SLOT.iter_unpack(raw[: len(raw) // _SLOT.size * _SLOT.size]))
            recent = [slot for at, slot in enumerate(slots) if now - _SLOTS < slot[0] <= now and slot[0] % _SLOTS == at]
            requests, items = sum(slot[1] for slot in recent), sum(slot[2] for slot in recent)
            self._check("REQUEST_LIMIT", "requests", 1, requests, self._credential.requests_per_minute)
            self._check("DOCUMENT_LIMIT", "documents", documents, items, self._credential.documents_per_minute)
            mine = next((slot for slot in recent if slot[0] == now), (now, 0, 0))
            slot = _SLOT.pack(now, min(mine[1] + 1, _MOST), min(mine[2] + documents, _MOST))
            os.pwrite(self._file, slot, now % _SLOTS * _SLOT.size)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _check(self, code: str, what: str, more: int, spent: int, most: int | None) -> None:
        if most is None or spent + more <= most:
            return
        who = f"The credential 'cred:{self._credential.name}' may send {most} {what} a minute"
        if more > most:
            raise ProviderFailedError(code, f"{who}, and one request has {more}. Set others.batch_size.")
        raise ProviderFailedError(
            code, f"{who}, and has sent {spent}. Wait, or ask the operator for more {what}_per_minute."
        )


def quotas(settings: Settings) -> dict[str, Quota]:
    """A meter for each credential with a limit, by its name. Errors: CONFIG where processes cannot count together."""
    limited = [c for c in settings.credentials.values() if c.requests_per_minute or c.documents_per_minute]
    return {credential.name: Quota(credential, shared_folder(settings)) for credential in limited}


def shared_folder(settings: Settings) -> Path:
    """Where the processes of the pool keep what they count together."""
    if settings.limits.counters:
        return Path(settings.limits.counters)
    try:
        place = tempfile.gettempdir()
    except FileNotFoundError:  # nothing can be written to; who needs the folder says so
        place = "/tmp"  # noqa: S108 - of which a folder of this user's alone is taken
    return Path(place, f"clickhouse-rerank-{os.geteuid()}")


def shared_file(folder: Path, name: str) -> int:
    """The file's descriptor; in a folder that others can write to, they could reset or block what is counted."""
    try:
        make_private_folder(folder)
        return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except ValueError as error:
        raise wrong("[limits]", f"counters: {error}. Name another one.") from None
    except OSError as error:
        raise wrong(
            "[limits]",
            f"counters: {folder} cannot be used ({error.strerror}), and limits by the minute need it. Name a folder "
            "that the server's user can write to.",
        ) from None

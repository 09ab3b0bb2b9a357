"""Files that are replaced at once: a reader sees the old content or the new one, also after a crash."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, data: bytes, mode: int, group: int | None = None) -> None:
    """Write a file that belongs to the user who runs this; `group` is a gid, None for the user's own. Errors: OSError.

    The content is first written, and synced to disk, under an unpredictable name, because another user may
    own the folder while root runs this. Until the file is complete, only its owner can read it. If writing fails,
    nothing is left.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if group is not None:
                os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Sync a folder to disk: names that were added to it or removed from it stay so after a crash. Errors: OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

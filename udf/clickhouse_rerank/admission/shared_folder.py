"""The folder in which the processes of a pool count together, `limits.counters`, and the files in it."""

import os
import tempfile
from pathlib import Path

from ..config.private_folder import make_private_folder
from ..config.schema import wrong
from ..config.settings import Settings


def shared_folder(settings: Settings) -> Path:
    """The configured folder, or else this user's own folder among the system's temporary files."""
    if settings.limits.counters:
        return Path(settings.limits.counters)
    try:
        place = tempfile.gettempdir()
    except FileNotFoundError:  # no folder can be written to: `shared_file` says so where a file is needed
        place = "/tmp"  # noqa: S108 - the folder in it is this user's alone
    return Path(place, f"clickhouse-rerank-{os.geteuid()}")


def shared_file(folder: Path, name: str) -> int:
    """The descriptor of a file in the folder. Errors: CONFIG.

    A folder that other users can write to is refused, because they could reset the counts or hold their locks.
    """
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


def scoring_lock(settings: Settings) -> int:
    """The descriptor of the file by which processes take turns to score. Errors: CONFIG."""
    return shared_file(shared_folder(settings), "scoring")

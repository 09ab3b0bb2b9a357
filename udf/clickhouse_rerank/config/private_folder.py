"""Folders of files that only the server may change: the cache, the usage log and the counters."""

import os
import stat
from contextlib import suppress
from pathlib import Path


def make_private_folder(folder: Path, mode: int = 0o700) -> None:
    """Make the folder if it is missing. Errors: ValueError where another user owns it or may write to it; OSError.

    In a folder that others can write to, they could replace or reset a file that this process trusts. A symbolic link
    is refused too. The owner is the server's user, or root for a folder that the operator made.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=mode)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or is_of_others(status):
        raise ValueError(f"{folder} is no folder of the server's user alone")


def is_of_others(status: os.stat_result) -> bool:
    """Whether a user other than this one and root owns a file or folder, or every user may write to it."""
    return status.st_uid not in (os.geteuid(), 0) or bool(status.st_mode & stat.S_IWOTH)

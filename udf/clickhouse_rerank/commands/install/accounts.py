"""The account that the server runs as, and what the modes of files and folders let it do."""

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_SERVER = "clickhouse"
"""The account that the server's packages make."""


class Account(NamedTuple):
    """An account of this machine."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary ones."""


def of(uid: int, gid: int | None = None) -> Account:
    """The account with a uid; one that has no name, as in containers, has the group `gid` alone."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        group = os.getgid() if gid is None else gid
        return Account(f"uid {uid}", uid, group, ())
    return Account(entry.pw_name, uid, entry.pw_gid, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)))


def server(folders: Iterable[Path]) -> Account | None:
    """Who the server runs as: who owns its folders, if that is not root; else the usual account, if there is one."""
    for folder in folders:
        try:
            status = nearest(folder).stat()
        except OSError:
            continue
        if status.st_uid:
            return of(status.st_uid, status.st_gid)
    try:
        return of(pwd.getpwnam(_SERVER).pw_uid)
    except KeyError:
        return None


def reader(folders: Iterable[Path]) -> Account:
    """As whom to judge what the server can read: root can tell for the server, everybody else for themselves."""
    return (server(folders) if os.geteuid() == 0 else None) or of(os.geteuid(), os.getegid())


def nearest(path: Path) -> Path:
    """The path, or the deepest folder above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def obstacle(account: Account, path: Path, wanted: int) -> tuple[Path, str] | None:
    """What keeps an account from a file and the mode that it lacks, as for chmod; `wanted` of R_OK and X_OK.

    The path is followed as it is written and as it resolves, for both ways are walked.
    """
    if account.uid == 0 or (account.uid == os.geteuid() and os.access(path, wanted)):  # which knows of access lists
        return None
    for way in dict.fromkeys((path, path.resolve())):
        for folder in reversed(way.parents):
            if not _may(account, folder.stat(), os.X_OK):
                return folder, "x"
    if not _may(account, path.stat(), wanted):
        return path, "rx" if wanted & os.X_OK else "r"
    return None


def kept_from_running(account: Account, python: str) -> str:
    """Why an account cannot run an interpreter, with what to do; "" if it can."""
    try:
        kept_from = obstacle(account, Path(python), os.X_OK)
    except OSError as error:  # a folder on the way cannot be looked into
        kept_from = Path(error.filename), "x"
    if kept_from is None:
        return ""
    because = "" if kept_from[0] == Path(python) else f", because of {kept_from[0]}"
    return (
        f"{python} is out of reach of {account.name}, the server's user{because}. Install from an environment, made "
        "with a Python, in folders that every user may enter, such as /opt/clickhouse-rerank and /usr/bin/python3."
    )


def _may(account: Account, status: os.stat_result, wanted: int) -> bool:
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == account.uid:
        granted = mode >> 6
    elif status.st_gid in (account.gid, *account.groups):
        granted = mode >> 3
    else:
        granted = mode
    return granted & wanted == wanted

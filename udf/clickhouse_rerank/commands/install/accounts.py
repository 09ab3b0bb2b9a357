"""The system account that the server runs as, and the access that the modes of files and folders give it."""

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_PACKAGED_ACCOUNT = "clickhouse"
"""The account that the server's packages create."""


class SystemAccount(NamedTuple):
    """An account of this machine."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    """The gids of supplementary groups."""


def account_of(uid: int, gid: int | None = None) -> SystemAccount:
    """The account with this uid. An account without a name, as in containers, is in no group but `gid`."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        group = os.getgid() if gid is None else gid
        return SystemAccount(f"uid {uid}", uid, group, ())
    return SystemAccount(entry.pw_name, uid, entry.pw_gid, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)))


def server_account(folders: Iterable[Path]) -> SystemAccount | None:
    """The server's account: the owner of its folders unless that is root, else the packages' account if it exists."""
    for folder in folders:
        try:
            status = nearest_existing(folder).stat()
        except OSError:
            continue
        if status.st_uid:
            return account_of(status.st_uid, status.st_gid)
    try:
        return account_of(pwd.getpwnam(_PACKAGED_ACCOUNT).pw_uid)
    except KeyError:
        return None


def checked_account(folders: Iterable[Path]) -> SystemAccount:
    """The account for which `check` tests access: the server's if root runs it, else that of the user who runs it."""
    return (server_account(folders) if os.geteuid() == 0 else None) or account_of(os.geteuid(), os.getegid())


def nearest_existing(path: Path) -> Path:
    """The path if it exists, else the deepest folder above it that does."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def denied_path(account: SystemAccount, path: Path, wanted: int) -> tuple[Path, str] | None:
    """The first path that keeps an account from a file, with the missing permission in chmod's letters; None if none.

    `wanted` consists of R_OK and X_OK. The path is followed as it is written and as it resolves, because the account
    needs access to the folders of both.
    """
    # os.access also knows access control lists, but only for the user who runs this.
    if account.uid == 0 or (account.uid == os.geteuid() and os.access(path, wanted)):
        return None
    for candidate in dict.fromkeys((path, path.resolve())):
        for folder in reversed(candidate.parents):
            if not _has_access(account, folder.stat(), os.X_OK):
                return folder, "x"
    if not _has_access(account, path.stat(), wanted):
        return path, "rx" if wanted & os.X_OK else "r"
    return None


def interpreter_problem(account: SystemAccount, python: str) -> str:
    """Why an account cannot run an interpreter, and what to change; "" if it can."""
    try:
        denied = denied_path(account, Path(python), os.X_OK)
    except OSError as error:  # a folder on the way to it cannot be searched
        denied = Path(error.filename), "x"
    if denied is None:
        return ""
    reason = "" if denied[0] == Path(python) else f", because of the mode of {denied[0]}"
    return (
        f"{python} is not accessible to {account.name}, the server's user{reason}. Make a new environment in a folder "
        "that every user may enter, such as /opt/clickhouse-rerank, with a Python that every user may run, such as "
        "/usr/bin/python3, and install from that environment."
    )


def _has_access(account: SystemAccount, status: os.stat_result, wanted: int) -> bool:
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == account.uid:
        granted = mode >> 6
    elif status.st_gid in (account.gid, *account.groups):
        granted = mode >> 3
    else:
        granted = mode
    return granted & wanted == wanted

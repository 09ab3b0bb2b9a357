"""Files and folders: whether they exist, whether the server can read them, and whether other users can change them."""

import contextlib
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from ... import __version__
from ...config.credentials import check_mode
from ...errors import RerankError
from ..install import server_config
from ..install.accounts import SystemAccount, denied_path
from ..install.manifest import read_manifest
from ..install.paths import InstallPaths
from .finding import Finding

INSTALL = "Run: clickhouse-rerank install"


def findings(paths: InstallPaths, account: SystemAccount) -> Iterator[Finding]:
    """Findings on the files that `install` writes, all but the configuration; `account` is the server's."""
    try:
        for path in paths.files():
            if path != paths.config:
                yield from _installed(path, account, os.R_OK | os.X_OK if path == paths.launcher else os.R_OK)
        yield from _folders(paths)
        for text in server_config.mistakes(paths.config_dir, paths.registration, paths.user_scripts):
            yield Finding(False, text)
        yield from _manifest(paths)
    except OSError as error:
        yield _inaccessible(error)


def may_exist(path: Path) -> bool:
    """Whether a file exists; also true if this user cannot see it, since reading it then gives the better error."""
    try:
        return path.exists()
    except OSError:
        return True


def configuration_findings(config: Path, account: SystemAccount) -> Iterator[Finding]:
    """Findings on the configuration and on the key files that it names.

    Whether every user can read a configuration with keys in it is checked when it is loaded.
    """
    try:
        if config.exists():
            yield _file(config, account, os.R_OK, holds_keys=False)
        for file in credential_values(config, "api_key_file"):
            yield _file(Path(file), account, os.R_OK, holds_keys=True)
    except OSError as error:
        yield _inaccessible(error)


def _inaccessible(error: OSError) -> Finding:
    return Finding(
        False, f"{error.filename} cannot be checked ({error.strerror}). Run this as root or as the server's user."
    )


def _installed(path: Path, account: SystemAccount, wanted: int) -> Iterator[Finding]:
    if path.exists():
        yield _file(path, account, wanted, holds_keys=False)
    else:
        yield Finding(False, f"{path} is missing. {INSTALL}")


def _file(path: Path, account: SystemAccount, wanted: int, *, holds_keys: bool) -> Finding:
    """Whether the server can read a file, and no user except root, the server's user and this one can change it."""
    try:
        status = path.stat()
        check_mode(status, path, "", holds_keys=holds_keys)
        denied = denied_path(account, path, wanted)
    except OSError as error:
        return Finding(
            False, f"{path} cannot be read ({error.strerror}). Correct its name, or run this as the server's user."
        )
    except RerankError as error:
        return Finding(False, error.message.strip())
    if status.st_mode & stat.S_IWGRP:
        return Finding(False, f"{path} can be changed by its group. Run: chmod g-w {path}")
    if status.st_uid not in (0, os.geteuid(), account.uid):
        return Finding(False, f"{path} belongs to another user (uid {status.st_uid}). Run: chown root {path}")
    if denied is not None:
        return Finding(
            False, f"{path} is not accessible to {account.name}, the server's user. {_grant(denied, account)}"
        )
    return Finding(True, f"{path} has the right owner and mode")


def _grant(denied: tuple[Path, str], account: SystemAccount) -> str:
    path, permission = denied
    if path.is_dir():
        return f"Run: chmod o+{permission} {path}"
    return f"Run: chgrp {account.gid} {path} && chmod g+{permission} {path}"


def _folders(paths: InstallPaths) -> Iterator[Finding]:
    """A user who can write to a folder can replace the files in it, unless the folder is sticky."""
    for folder in filter(Path.exists, paths.folders()):
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield Finding(False, f"{folder} can be changed by every user of this machine. Run: chmod o-w {folder}")


def _manifest(paths: InstallPaths) -> Iterator[Finding]:
    try:
        manifest = read_manifest(paths)
    except RerankError as error:
        yield Finding(False, error.message)
        return
    if manifest is None:
        return
    if manifest.version != __version__:
        yield Finding(
            False,
            f"{paths.registration} is from clickhouse-rerank {manifest.version}, but this is {__version__}. {INSTALL}",
        )
    for path in paths.files():
        if path == paths.config or str(path) not in manifest.digests or not path.exists():
            continue
        if not manifest.owns(path, path.read_bytes()):
            yield Finding(
                True, f"{path} was changed after it was installed; `install` and `uninstall` do not change it"
            )


def credential_values(config: Path, key: str) -> Iterator[str]:
    """The values of a key in all credentials of a configuration; none if it cannot be read."""
    document: Mapping[str, object] = {}
    with contextlib.suppress(OSError, ValueError):
        document = tomllib.loads(config.read_text("utf-8"))
    tables = document.get("credentials")
    for table in tables.values() if isinstance(tables, dict) else ():
        text = table.get(key) if isinstance(table, dict) else None
        if isinstance(text, str):
            yield text

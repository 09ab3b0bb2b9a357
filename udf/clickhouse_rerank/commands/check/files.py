"""Files and folders: that they are there, that the server reaches them, and that nobody else changes them."""

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
from ..install.accounts import Account, obstacle
from ..install.manifest import Places, read
from .finding import Finding

_INSTALL = "Run: clickhouse-rerank install"


def findings(places: Places, who: Account) -> Iterator[Finding]:
    """Of what `install` put, as the server's account meets it."""
    try:
        for path in places.files():
            if path != places.config:
                yield from _installed(path, who, os.R_OK | os.X_OK if path == places.launcher else os.R_OK)
        yield from _folders(places)
        for text in server_config.mistakes(places.config_dir, places.registration, places.user_scripts):
            yield Finding(False, text)
        yield from _recorded(places)
    except OSError as error:
        yield _unseen(error)


def there(path: Path) -> bool:
    """Whether a file exists; where that cannot be seen, reading it will tell more."""
    try:
        return path.exists()
    except OSError:
        return True


def configured(config: Path, who: Account) -> Iterator[Finding]:
    """Of the configuration, and of the files with keys that it names; whether it holds keys is for `load` to see."""
    try:
        if config.exists():
            yield _file(config, who, os.R_OK, holds_keys=False)
        for file in said_of_credentials(config, "api_key_file"):
            yield _file(Path(file), who, os.R_OK, holds_keys=True)
    except OSError as error:
        yield _unseen(error)


def _unseen(error: OSError) -> Finding:
    return Finding(
        False, f"{error.filename} cannot be looked at ({error.strerror}). Run this as root, or as the server's user."
    )


def _installed(path: Path, who: Account, wanted: int) -> Iterator[Finding]:
    if path.exists():
        yield _file(path, who, wanted, holds_keys=False)
    else:
        yield Finding(False, f"{path} is missing. {_INSTALL}")


def _file(path: Path, who: Account, wanted: int, *, holds_keys: bool) -> Finding:
    """Only root, the server, and who runs this, may own or change what the server runs, reads or sends keys by."""
    try:
        status = path.stat()
        check_mode(status, path, "", holds_keys=holds_keys)
        kept_from = obstacle(who, path, wanted)
    except OSError as error:
        return Finding(
            False, f"{path} cannot be read ({error.strerror}). Correct its name, or run this as the server's user."
        )
    except RerankError as error:
        return Finding(False, error.message.strip())
    if status.st_mode & stat.S_IWGRP:
        return Finding(False, f"{path} can be changed by its group. Run: chmod g-w {path}")
    if status.st_uid not in (0, os.geteuid(), who.uid):
        return Finding(False, f"{path} belongs to another user (uid {status.st_uid}). Run: chown root {path}")
    if kept_from is not None:
        return Finding(False, f"{path} is out of reach of {who.name}, the server's user. {_way_in(kept_from, who)}")
    return Finding(True, f"{path} is as it should be")


def _way_in(kept_from: tuple[Path, str], who: Account) -> str:
    place, lacks = kept_from
    if place.is_dir():
        return f"Run: chmod o+{lacks} {place}"
    return f"Run: chgrp {who.gid} {place} && chmod g+{lacks} {place}"


def _folders(places: Places) -> Iterator[Finding]:
    """Who can write to a folder can put another file in the place of one in it, unless it is sticky."""
    for folder in filter(Path.exists, places.folders()):
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield Finding(False, f"{folder} can be changed by every user of this machine. Run: chmod o-w {folder}")


def _recorded(places: Places) -> Iterator[Finding]:
    try:
        record = read(places)
    except RerankError as error:
        yield Finding(False, error.message)
        return
    if record is None:
        return
    if record.version != __version__:
        yield Finding(
            False,
            f"{places.registration} is of clickhouse-rerank {record.version}, and this is {__version__}. {_INSTALL}",
        )
    for path in places.files():
        if path == places.config or str(path) not in record.digests or not path.exists():
            continue
        if not record.owns(path, path.read_bytes()):
            yield Finding(True, f"{path} was changed since it was installed; `install` and `uninstall` leave it alone")


def said_of_credentials(config: Path, key: str) -> Iterator[str]:
    """What a configuration that can be read says under a key of its credentials."""
    document: Mapping[str, object] = {}
    with contextlib.suppress(OSError, ValueError):
        document = tomllib.loads(config.read_text("utf-8"))
    tables = document.get("credentials")
    for table in tables.values() if isinstance(tables, dict) else ():
        text = table.get(key) if isinstance(table, dict) else None
        if isinstance(text, str):
            yield text

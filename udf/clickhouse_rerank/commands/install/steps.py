"""What `install` changes on a server's disk, and `uninstall` takes away.

What is not as an `install` wrote it is never replaced or removed, and none of its text is shown.
"""

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from ... import __version__
from ...config.schema import wrong
from .. import masking
from . import accounts, artifacts
from .artifacts import File
from .manifest import Places, Record, content, digest, read

_FOLDER_MODE = 0o755


class Change(NamedTuple):
    """What happens to a file; `old` is its text before, where that is the installation's own."""

    kind: Literal["write", "change", "mode", "same", "keep"]
    file: File
    old: str = ""


class Installing(NamedTuple):
    """All that an `install` does, in this order."""

    folders: Sequence[Path]
    """Those to make, each below the one before it."""
    changes: Sequence[Change]
    record: Record
    before: Record | None
    outdated: Sequence[Path]
    """Files of the last time that belong elsewhere now, and go."""

    def noted(self, places: Places) -> Change:
        """What becomes of the record."""
        file = self.record.file(places)
        if self.before is None:
            return Change("write", file)
        old = self.before.file(places).text
        return Change("same" if old == file.text else "change", file, old)

    def in_the_way(self, places: Places) -> Sequence[Path]:
        """Files that were to be written but are not the installation's; a configuration never is to be."""
        kept = (change.file.path for change in self.changes if change.kind == "keep")
        return [path for path in kept if path != places.config]


class Removing(NamedTuple):
    """All that an `uninstall` does, in this order."""

    files: Sequence[Path]
    kept: Sequence[Path]
    """Files that are not as they were written."""
    folders: Sequence[Path]
    """Those that were made, each above the one before it; they go if they are empty by then."""


def installing(places: Places, format_name: str | None = None, pool_size: int | None = None) -> Installing:
    """What `install` has to do; format and size are those of the last time unless given. Errors: CONFIG, OSError."""
    before = read(places)
    format_name = format_name or (before.format if before else artifacts.FORMAT)
    pool_size = pool_size or (before.pool_size if before else artifacts.POOL_SIZE)
    changes = [_change(places, file, before) for file in _files(places, format_name, pool_size)]
    folders = _missing(places)
    known = {str(path) for path in places.files()}
    digests = {path: texts for path, texts in before.digests.items() if path in known} if before else {}
    outdated = [path for path in before.elsewhere(places) if path.suffix != ".toml"] if before else []
    for change in changes:
        if change.kind in ("write", "change", "same"):
            digests[str(change.file.path)] = [digest(change.file.text.encode())]
    made = [*(before.folders if before else ()), *map(str, folders)]
    record = Record(__version__, format_name, pool_size, digests, list(dict.fromkeys(made)))
    return Installing(folders, changes, record, before, outdated)


def _files(places: Places, format_name: str, pool_size: int) -> list[File]:
    """In the order in which they are put: the server acts on the registration, which comes last."""
    launcher, registration = artifacts.plan(places.user_scripts, places.config_dir, format_name, (), pool_size)
    if places.embedded:
        return [launcher, registration]
    rules = File(places.rules, masking.xml(), 0o644)
    return [launcher, _configuration(places), rules, registration]


def _configuration(places: Places) -> File:
    """Readable by the server and by no other user, for keys may be written into it.

    Where nobody knows who the server is, all read it until there are: the worker then refuses it and says why.
    """
    server = accounts.server((places.user_scripts, places.config_dir))
    mode = 0o640 if server and os.geteuid() in (0, server.uid) else 0o644
    group = server.gid if server and os.geteuid() == 0 else None
    return File(places.config, artifacts.configuration(), mode, group)


def _change(places: Places, file: File, before: Record | None) -> Change:
    if file.path == places.config and os.path.lexists(file.path):
        return Change("keep", file)
    try:
        old = content(file.path)
    except FileNotFoundError:
        return Change("write", file)
    mine = before is not None and before.owns(file.path, old)
    if old != file.text.encode():
        return Change("change", file, old.decode()) if mine else Change("keep", file)
    status = file.path.stat()
    right = (stat.S_IMODE(status.st_mode), status.st_uid) == (file.mode, os.geteuid())
    return Change("same" if right or not mine else "mode", file)


def _missing(places: Places) -> list[Path]:
    return [folder for folder in places.folders() if not folder.exists()]


def check_access(todo: Installing) -> None:
    """Errors: CONFIG for a folder that cannot be written to, before anything is."""
    for path in (*todo.folders, *(change.file.path for change in todo.changes)):
        folder = accounts.nearest(path.parent)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise wrong(str(folder), "cannot be written to by this user. Run this as root, or name other folders.")


def carry_out(places: Places, todo: Installing) -> None:
    """Make the changes. The record goes first, so that a second run after a crash knows what the first one wrote."""
    check_access(todo)
    for folder in todo.folders:
        _make(folder)
    writes = [change for change in todo.changes if change.kind in ("write", "change", "mode")]
    if writes:
        old = todo.before.digests if todo.before else {}
        both = {path: [*old.get(path, ()), *new] for path, new in todo.record.digests.items()}
        artifacts.write(replace(todo.record, digests=both).file(places))
    for change in writes:
        artifacts.write(change.file)
    for path in todo.outdated:
        path.unlink()
        artifacts.sync(path.parent)
    if todo.before != todo.record or writes:
        artifacts.write(todo.record.file(places))


def _make(folder: Path) -> None:
    """A folder with its mode; whoever owns the one above it may have put a link in its place by now."""
    folder.mkdir(0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, _FOLDER_MODE)
    finally:
        os.close(descriptor)


def removing(places: Places) -> Removing | None:
    """What `uninstall` has to do; None where nothing was installed. Errors: CONFIG, OSError."""
    record = read(places)
    if record is None:
        return None
    for path in record.elsewhere(places):
        raise wrong(str(path), "was installed too. Give the options that install was given, for folders and --config.")
    files: list[Path] = []
    kept: list[Path] = []
    for path in reversed(places.files()):
        if str(path) in record.digests and path.exists():
            (files if record.owns(path, content(path)) else kept).append(path)
    folders = [folder for folder in reversed(places.folders()) if str(folder) in record.folders]
    return Removing([*files, places.record], kept, folders)


def remove(todo: Removing) -> Sequence[Path]:
    """Take it away; the folders that went, for those with somebody's files in them stay. Errors: OSError."""
    for path in todo.files:
        path.unlink()
        artifacts.sync(path.parent)
    gone = []
    for folder in todo.folders:
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
        else:
            gone.append(folder)
    return gone

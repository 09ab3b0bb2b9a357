"""What `install` changes on a server's disk and what `uninstall` removes: first a plan, then its execution.

A file that is not as an `install` wrote it is never replaced or removed, and its content is never shown.
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
from ..atomic_file import sync_folder
from . import accounts, artifacts
from .artifacts import File
from .manifest import Manifest, digest, read_manifest, read_regular_file
from .paths import InstallPaths

_FOLDER_MODE = 0o755


class Change(NamedTuple):
    """What happens to a file; `old` is its text before, "" unless the file belongs to the installation."""

    kind: Literal["write", "change", "mode", "same", "keep"]
    file: File
    old: str = ""


class InstallPlan(NamedTuple):
    """All that an `install` does, in this order."""

    folders: Sequence[Path]
    """Folders to make, each above the next."""
    changes: Sequence[Change]
    manifest: Manifest
    old_manifest: Manifest | None
    outdated: Sequence[Path]
    """Files that the last `install` wrote in other folders and that are removed."""

    def manifest_change(self, paths: InstallPaths) -> Change:
        """What happens to the manifest."""
        file = self.manifest.as_file(paths)
        if self.old_manifest is None:
            return Change("write", file)
        old = self.old_manifest.as_file(paths).text
        return Change("same" if old == file.text else "change", file, old)

    def conflicts(self, paths: InstallPaths) -> Sequence[Path]:
        """Files that are not written because the operator's file is there. The configuration is meant to be kept."""
        kept = (change.file.path for change in self.changes if change.kind == "keep")
        return [path for path in kept if path != paths.config]


class RemovalPlan(NamedTuple):
    """All that an `uninstall` does, in this order."""

    files: Sequence[Path]
    kept: Sequence[Path]
    """Files that were changed since they were installed."""
    folders: Sequence[Path]
    """Folders that `install` made, each below the next; a folder is removed if it is empty by then."""


def plan_install(
    paths: InstallPaths, format_name: str | None = None, pool_size: int | None = None, models: str = ""
) -> InstallPlan:
    """What `install` has to do. Format and pool size are the installed ones unless given. Errors: CONFIG, OSError.

    `models` are lines for the end of a new configuration.
    """
    old = read_manifest(paths)
    format_name = format_name or (old.format if old else artifacts.FORMAT)
    pool_size = pool_size or (old.pool_size if old else artifacts.POOL_SIZE)
    changes = [_change(paths, file, old) for file in _files(paths, format_name, pool_size, models)]
    folders = [folder for folder in paths.folders() if not folder.exists()]
    current = {str(path) for path in paths.files()}
    digests = {path: texts for path, texts in old.digests.items() if path in current} if old else {}
    outdated = [path for path in old.files_elsewhere(paths) if path.suffix != ".toml"] if old else []
    for change in changes:
        if change.kind in ("write", "change", "same"):
            digests[str(change.file.path)] = [digest(change.file.text.encode())]
    made = [*(old.folders if old else ()), *map(str, folders)]
    manifest = Manifest(__version__, format_name, pool_size, digests, list(dict.fromkeys(made)))
    return InstallPlan(folders, changes, manifest, old, outdated)


def _files(paths: InstallPaths, format_name: str, pool_size: int, models: str) -> list[File]:
    """The files in the order in which they are written: the registration last, because the server acts on it."""
    launcher, registration = artifacts.plan(paths.user_scripts, paths.config_dir, format_name, (), pool_size)
    if paths.embedded:
        return [launcher, registration]
    rules = File(paths.masking_rules, masking.xml(), 0o644)
    return [launcher, _configuration(paths, models), rules, registration]


def _configuration(paths: InstallPaths, models: str) -> File:
    """The configuration, readable by the server and by no other user, because the operator may write keys into it.

    If the server's account is unknown, every user can read the file. Once keys are in it, the worker refuses such a
    file and says why.
    """
    server = accounts.server_account((paths.user_scripts, paths.config_dir))
    mode = 0o640 if server and os.geteuid() in (0, server.uid) else 0o644
    group = server.gid if server and os.geteuid() == 0 else None
    text = artifacts.configuration() + (f"\n{models}\n" if models else "")
    return File(paths.config, text, mode, group)


def _change(paths: InstallPaths, file: File, manifest: Manifest | None) -> Change:
    if file.path == paths.config and os.path.lexists(file.path):
        return Change("keep", file)
    try:
        old = read_regular_file(file.path)
    except FileNotFoundError:
        return Change("write", file)
    is_installed = manifest is not None and manifest.owns(file.path, old)
    if old != file.text.encode():
        return Change("change", file, old.decode()) if is_installed else Change("keep", file)
    status = file.path.stat()
    is_right = (stat.S_IMODE(status.st_mode), status.st_uid) == (file.mode, os.geteuid())
    return Change("same" if is_right or not is_installed else "mode", file)


def apply_install(paths: InstallPaths, plan: InstallPlan) -> None:
    """Make the changes. Errors: CONFIG for a folder that cannot be written to, before any change is made; OSError.

    The manifest is written first, with the old digests and the new ones: after a crash, the next run knows every file
    that this one wrote.
    """
    _check_access(plan)
    for folder in plan.folders:
        _make_folder(folder)
    writes = [change for change in plan.changes if change.kind in ("write", "change", "mode")]
    if writes:
        old = plan.old_manifest.digests if plan.old_manifest else {}
        both = {path: [*old.get(path, ()), *new] for path, new in plan.manifest.digests.items()}
        artifacts.write(replace(plan.manifest, digests=both).as_file(paths))
    for change in writes:
        artifacts.write(change.file)
    for path in plan.outdated:
        path.unlink()
        sync_folder(path.parent)
    if plan.old_manifest != plan.manifest or writes:
        artifacts.write(plan.manifest.as_file(paths))


def _check_access(plan: InstallPlan) -> None:
    for path in (*plan.folders, *(change.file.path for change in plan.changes)):
        folder = accounts.nearest_existing(path.parent)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise wrong(str(folder), "cannot be written to by this user. Run this as root, or name other folders.")


def _make_folder(folder: Path) -> None:
    """Make a folder and set its mode. The owner of the folder above may have put a symbolic link there meanwhile."""
    folder.mkdir(0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, _FOLDER_MODE)
    finally:
        os.close(descriptor)


def plan_removal(paths: InstallPaths) -> RemovalPlan | None:
    """What `uninstall` has to do; None if nothing is installed. Errors: CONFIG, OSError."""
    manifest = read_manifest(paths)
    if manifest is None:
        return None
    for path in manifest.files_elsewhere(paths):
        raise wrong(str(path), "was installed too. Run uninstall with the folders and --config that install was given.")
    files: list[Path] = []
    kept: list[Path] = []
    for path in reversed(paths.files()):
        if str(path) in manifest.digests and path.exists():
            (files if manifest.owns(path, read_regular_file(path)) else kept).append(path)
    folders = [folder for folder in reversed(paths.folders()) if str(folder) in manifest.folders]
    return RemovalPlan([*files, paths.manifest], kept, folders)


def apply_removal(plan: RemovalPlan) -> Sequence[Path]:
    """Remove the files, and the folders that are empty then; the folders that were removed. Errors: OSError."""
    for path in plan.files:
        path.unlink()
        sync_folder(path.parent)
    removed = []
    for folder in plan.folders:
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
        else:
            removed.append(folder)
    return removed

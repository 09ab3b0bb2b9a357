"""What `install` and `uninstall` say: every change, done or to be done, and what to do next."""

import difflib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...config.settings import CONFIG_VARIABLE, DEFAULT_CONFIG
from . import accounts, server_config
from .manifest import Places
from .steps import Change, Installing, Removing

_NEXT = """
Run next, in SQL:

    SYSTEM RELOAD FUNCTIONS;
    SELECT Rerank('red apple', ['green pear', 'red apple'], 1, 'BM25', '', '', '');

The wrappers: clickhouse-rerank functions | clickhouse-client --multiquery
What is wrong, if anything is: clickhouse-rerank check
"""
_AFTER = """
Run next, in SQL:

    SYSTEM RELOAD FUNCTIONS;

The wrappers that are left:

    clickhouse-client --query "SELECT 'DROP FUNCTION ' || name || ';' FROM system.functions
      WHERE origin = 'SQLUserDefined' AND create_query LIKE '%Rerank(%'" | clickhouse-client --multiquery
"""


def of_installing(places: Places, todo: Installing, *, dry_run: bool) -> Iterator[str]:
    """Lines; with `dry_run` the texts of files too, which are never an operator's."""
    for folder in todo.folders:
        yield f"{'would make' if dry_run else 'made'} folder {folder}\n"
    for path in todo.outdated:
        yield f"{'would remove' if dry_run else 'removed'} {path}, which belongs elsewhere now\n"
    for change in todo.changes:
        if change.kind == "keep":
            yield _kept(places, change.file.path)
        elif dry_run:
            yield from _would(change)
        else:
            yield f"{'unchanged' if change.kind == 'same' else 'wrote'} {change.file.path}\n"
    if dry_run:
        yield from _would(todo.noted(places))
    if not places.embedded:
        if str(places.config) != DEFAULT_CONFIG:
            yield f"\nSet {CONFIG_VARIABLE}={places.config} for the server: it looks in {DEFAULT_CONFIG}.\n"
        server = accounts.server((places.user_scripts, places.config_dir))
        if server is not None and (reason := accounts.kept_from_running(server, sys.executable)):
            yield f"\n{reason}\n"
        for mistake in server_config.mistakes(places.config_dir, places.registration, places.user_scripts):
            yield f"\n{mistake}\n"
    if not dry_run:
        yield _NEXT


def _kept(places: Places, path: Path) -> str:
    if path == places.config:
        return f"kept {path}, which is yours\n"
    return f"kept {path}: it is not as an install wrote it. To replace it, move it away and install again.\n"


def _would(change: Change) -> Iterator[str]:
    path, text, mode, _ = change.file
    match change.kind:
        case "same":
            yield f"unchanged {path}\n"
        case "mode":
            yield f"would set the owner and mode of {path} (mode {mode:o})\n"
        case "write":
            yield f"would write {path} (mode {mode:o}):\n{text}"
        case _:
            yield f"would change {path} (mode {mode:o}):\n"
            old, new = change.old.splitlines(keepends=True), text.splitlines(keepends=True)
            yield from difflib.unified_diff(old, new, str(path), str(path))


def of_removing(todo: Removing, folders: Sequence[Path], *, dry_run: bool) -> Iterator[str]:
    """Lines; `folders` are those that went."""
    for path in todo.files:
        yield f"{'would remove' if dry_run else 'removed'} {path}\n"
    for folder in folders:
        yield f"{'would remove' if dry_run else 'removed'} folder {folder}{', if it is empty' if dry_run else ''}\n"
    for path in todo.kept:
        yield f"kept {path}: it was changed since it was installed, and is yours\n"
    if not dry_run:
        yield _AFTER

"""What `install` and `uninstall` print: every change, made or only planned, and what to do next."""

import difflib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...config.settings import CONFIG_VARIABLE, DEFAULT_CONFIG
from . import accounts, server_config
from .changes import Change, InstallPlan, RemovalPlan
from .paths import InstallPaths

_AFTER_INSTALL = """
Run next, in SQL:

    SYSTEM RELOAD FUNCTIONS;
    SELECT Rerank('red apple', ['green pear', 'red apple'], 1, 'BM25', '', '', '');

To create the wrappers: clickhouse-rerank functions | clickhouse-client --multiquery
To create the library of measures and fusions: clickhouse-rerank functions --library | clickhouse-client --multiquery
To check the installation: clickhouse-rerank check
"""
_AFTER_REMOVAL = """
Run next, in SQL:

    SYSTEM RELOAD FUNCTIONS;

To drop the wrappers and the library:

    clickhouse-client --query "SELECT 'DROP FUNCTION ' || name || ';' FROM system.functions
      WHERE origin = 'SQLUserDefined' AND (create_query LIKE '%Rerank(%' OR match(name, '^rerank[A-Z]'))" |
      clickhouse-client --multiquery
"""


def install_lines(paths: InstallPaths, plan: InstallPlan, models: str = "", *, dry_run: bool) -> Iterator[str]:
    """The lines to print; with `dry_run` also the files' texts, but no text of a file that the operator changed.

    `models` are the lines that a configuration needs, also one that is kept.
    """
    for folder in plan.folders:
        yield f"{'would make' if dry_run else 'made'} folder {folder}\n"
    for path in plan.outdated:
        yield f"{'would remove' if dry_run else 'removed'} {path}, because it is installed in another folder now\n"
    for change in plan.changes:
        if change.kind == "keep":
            yield _kept(paths, change.file.path, models)
        elif dry_run:
            yield from _planned(change)
        else:
            yield f"{'unchanged' if change.kind == 'same' else 'wrote'} {change.file.path}\n"
    if dry_run:
        yield from _planned(plan.manifest_change(paths))
    if not paths.embedded:
        if str(paths.config) != DEFAULT_CONFIG:
            yield (
                f"\nSet {CONFIG_VARIABLE}={paths.config} in the server's environment; without it, the server's workers "
                f"read {DEFAULT_CONFIG}.\n"
            )
        server = accounts.server_account((paths.user_scripts, paths.config_dir))
        if server is not None and (problem := accounts.interpreter_problem(server, sys.executable)):
            yield f"\n{problem}\n"
        for mistake in server_config.mistakes(paths.config_dir, paths.registration, paths.user_scripts):
            yield f"\n{mistake}\n"
    if not dry_run:
        yield _AFTER_INSTALL


def _kept(paths: InstallPaths, path: Path, models: str) -> str:
    if path == paths.config:
        add = f". Add to it:\n\n{models}\n" if models else ""
        return f"kept {path}: install never changes an existing configuration{add}\n"
    return f"kept {path}: it is not as install wrote it. To replace it, move it away and run install again.\n"


def _planned(change: Change) -> Iterator[str]:
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


def removal_lines(plan: RemovalPlan, folders: Sequence[Path], *, dry_run: bool) -> Iterator[str]:
    """The lines to print; `folders` are the folders that were removed."""
    for path in plan.files:
        yield f"{'would remove' if dry_run else 'removed'} {path}\n"
    for folder in folders:
        yield f"{'would remove' if dry_run else 'removed'} folder {folder}{', if it is empty' if dry_run else ''}\n"
    for path in plan.kept:
        yield f"kept {path}: it was changed after it was installed. Remove it if you no longer need it.\n"
    if not dry_run:
        yield _AFTER_REMOVAL

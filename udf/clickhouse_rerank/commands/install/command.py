"""`clickhouse-rerank install` and `clickhouse-rerank uninstall`."""

import argparse

from ..console import Console
from . import changes, report
from .paths import InstallPaths

_FILES_KEPT = 3
"""The exit code if files were kept because the operator changed them."""


def install(arguments: argparse.Namespace, console: Console) -> int:
    """Install, or with --dry-run only print the changes."""
    paths = InstallPaths.of(arguments, console.environment)
    plan = changes.plan_install(paths, arguments.format, arguments.pool_size)
    if not arguments.dry_run:
        changes.apply_install(paths, plan)
    console.stdout.writelines([*report.install_lines(paths, plan, dry_run=arguments.dry_run)])
    return _FILES_KEPT if plan.conflicts(paths) else 0


def uninstall(arguments: argparse.Namespace, console: Console) -> int:
    """Uninstall, or with --dry-run only print the changes."""
    paths = InstallPaths.of(arguments, console.environment)
    plan = changes.plan_removal(paths)
    if plan is None:
        console.stdout.write(f"nothing is installed: there is no {paths.manifest}\n")
        return 0
    removed = plan.folders if arguments.dry_run else changes.apply_removal(plan)
    console.stdout.writelines(report.removal_lines(plan, removed, dry_run=arguments.dry_run))
    return _FILES_KEPT if set(plan.kept) - {paths.config} else 0

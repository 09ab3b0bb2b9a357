"""`clickhouse-rerank install` and `clickhouse-rerank uninstall`."""

import argparse
from pathlib import Path

from ...config.models import Model, user_folder
from ..console import Console
from ..model import bring
from ..model.library import Library
from . import changes, report
from .paths import InstallPaths

_FILES_KEPT = 3
"""The exit code if files were kept because the operator changed them."""


def install(arguments: argparse.Namespace, console: Console) -> int:
    """Install, or with --dry-run only print the changes."""
    paths = InstallPaths.of(arguments, console.environment)
    models = _bring(arguments, paths, console) if arguments.model else ""
    plan = changes.plan_install(paths, arguments.format, arguments.pool_size, models)
    if not arguments.dry_run:
        changes.apply_install(paths, plan)
    console.stdout.writelines([*report.install_lines(paths, plan, models, dry_run=arguments.dry_run)])
    return _FILES_KEPT if plan.conflicts(paths) else 0


def _bring(arguments: argparse.Namespace, paths: InstallPaths, console: Console) -> str:
    """Bring the model into its folder, before the server learns of anything; its lines of the configuration."""
    shelf = Library(user_folder(console.environment) if paths.embedded else arguments.models.absolute())
    folder = Path(arguments.model)
    if arguments.dry_run:
        console.say(f"would bring {arguments.model} into {shelf.folder}")
        name = folder.absolute().name
        return bring.table(Model(name, shelf.folder / name))
    bringer = bring.Bringer(shelf, console.say)
    return bring.table(bringer.add(folder) if folder.is_dir() else bringer.pull(arguments.model))


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

"""`clickhouse-rerank check`."""

import argparse

from ..console import Console
from ..install.paths import InstallPaths
from . import findings
from .server import address


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print each finding as soon as it is known; the exit code is 1 if there is something to fix."""
    user = console.environment.get("CLICKHOUSE_USER", "default")
    password = console.environment.get("CLICKHOUSE_PASSWORD", "")
    server = address(arguments.url, user, password) if arguments.url else None
    paths = InstallPaths.of(arguments, console.environment)
    mistakes = 0
    for finding in findings(console.environment, paths, call=not arguments.no_calls, server=server):
        console.stdout.write(f"{'ok  ' if finding.good else 'FIX '} {finding.text}\n")
        console.stdout.flush()
        mistakes += not finding.good
    return 1 if mistakes else 0

"""`clickhouse-rerank sql`: runs SQL on the embedded engine, with Rerank and its wrappers, and prints the result."""

import argparse

from . import interruption, progress
from .console import Console
from .embedded_engine import Engine, QueryError


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the result to stdout, or the error to stderr; on a terminal, stderr shows the progress meanwhile.

    With --dry-run, print what the calls would cost instead of the result.
    """
    text = arguments.query
    if text == "-":
        text = console.stdin.buffer.read().decode("utf-8", "surrogateescape")
    format_name = arguments.format or ("PrettyCompact" if console.stdout.isatty() else "TabSeparated")
    try:
        with interruption.ends_the_process(), Engine(arguments.path, is_dry_run=arguments.dry_run) as engine:
            query = interruption.in_thread(lambda: engine.query(text, format_name))
            if console.stderr.isatty():
                progress.show(query, engine.progress, console.stderr)
            result = query.result()
            if arguments.dry_run:
                from . import dry_run

                result = dry_run.table(engine, console.environment, format_name)
    except QueryError as error:
        console.stderr.write(f"{error}\n")
        return 1
    console.stdout.buffer.write(result)
    console.stdout.buffer.flush()
    return 0

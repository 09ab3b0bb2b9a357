"""The command line, `clickhouse-rerank`: beside the worker, the only place with arguments, variables and streams."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__, catalogue, install, masking, progress, wrappers
from .errors import RerankError
from .formats import FORMATS

_USER_SCRIPTS = Path("/var/lib/clickhouse/user_scripts")
_CONFIG_DIR = Path("/etc/clickhouse-server")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clickhouse-rerank", description="Rerank as a SQL function for ClickHouse.")
    parser.add_argument("--version", action="version", version=f"clickhouse-rerank {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="run a RAG query on the embedded engine, before and after Rerank")
    demo.add_argument("--provider", default="BM25", help="who reranks (default: BM25, in the worker, no key)")
    demo.add_argument("--base-url", default="", help="the provider's URL, for example of a server of yours")
    demo.add_argument("--model", default="", help="the provider's model")

    sql = commands.add_parser("sql", help="run SQL on the embedded engine with Rerank and its wrappers")
    sql.add_argument("query", help="the statements; - reads them from stdin")
    sql.add_argument("--path", default="", help="folder that keeps the tables")
    sql.add_argument(
        "--format", default="", help="output format (default: PrettyCompact on a terminal, else TabSeparated)"
    )

    put = commands.add_parser("install", help="register Rerank with a ClickHouse server or a chDB udf_path")
    put.add_argument("--user-scripts", type=Path, default=_USER_SCRIPTS, help=f"default {_USER_SCRIPTS}")
    put.add_argument("--config-dir", type=Path, default=_CONFIG_DIR, help=f"default {_CONFIG_DIR}")
    put.add_argument("--format", choices=FORMATS, default="JSONEachRow", help="what server and worker speak")
    put.add_argument("--dry-run", action="store_true", help="print the files instead of writing them")

    pack = commands.add_parser("bundle", help="write the ZIP that ClickHouse Cloud takes, and what its console asks")
    pack.add_argument("--output", type=Path, default=Path("rerank.zip"), metavar="FILE", help="default rerank.zip")
    pack.add_argument("--format", choices=FORMATS, default="RowBinary", help="what service and worker speak")
    pack.add_argument("--config", type=Path, metavar="FILE", help="a configuration to put inside, keys included")

    functions = commands.add_parser("functions", help="print the SQL of the wrappers, one per provider")
    functions.add_argument("--on-cluster", default="", metavar="NAME", help="create them on every node of a cluster")
    functions.add_argument("--replace", action="store_true", help="CREATE OR REPLACE instead of IF NOT EXISTS")

    table = commands.add_parser("providers", help="print the providers with their defaults and limits")
    table.add_argument("--format", choices=("text", "markdown"), default="text")

    look = commands.add_parser("check", help="look for mistakes in an installation, one line each")
    look.add_argument("--user-scripts", type=Path, default=_USER_SCRIPTS, help=f"default {_USER_SCRIPTS}")
    look.add_argument("--config-dir", type=Path, default=_CONFIG_DIR, help=f"default {_CONFIG_DIR}")
    look.add_argument("--no-calls", action="store_true", help="do not ask each provider to score one document")

    commands.add_parser("masking", help="print query_masking_rules that hide keys in SQL from the server's logs")

    commands.add_parser("worker", help="the process that ClickHouse starts", add_help=False)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["worker"]:
        from .worker import main as worker

        worker(words[1:])
    try:
        code = _run(_parser().parse_args(words))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has enough; the interpreter's own flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except (RerankError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return code


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "demo":
            from .demo import run

            return run(arguments.provider, arguments.base_url, arguments.model)
        case "sql":
            return _sql(arguments.query, arguments.path, arguments.format)
        case "install":
            return _install(arguments)
        case "check":
            return _check(arguments)
        case "bundle":
            return _bundle(arguments)
        case _:
            print(_text(arguments), end="")
            return 0


def _text(arguments: argparse.Namespace) -> str:
    match arguments.command:
        case "providers":
            return catalogue.markdown() if arguments.format == "markdown" else catalogue.text()
        case "masking":
            return masking.xml()
        case _:
            made = wrappers.statements(on_cluster=arguments.on_cluster, replace=arguments.replace)
            return "".join(f"{statement}\n" for _, statement in made)


def _sql(query: str, path: str, format_name: str) -> int:
    from .embedded import Engine, QueryError

    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if query == "-" else query
    if not format_name:
        format_name = "PrettyCompact" if sys.stdout.isatty() else "TabSeparated"
    try:
        with Engine(path) as engine:
            work = progress.started(lambda: engine.query(text, format_name))
            try:
                if sys.stderr.isatty():
                    progress.show(work, engine.progress, sys.stderr)
                result = work.result()
            except KeyboardInterrupt:
                engine.abandon()
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGINT)  # the query would not end, and who started this sees why it did
                raise
    except QueryError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(result)
    sys.stdout.buffer.flush()
    return 0


def _install(arguments: argparse.Namespace) -> int:
    rules = install.File(arguments.config_dir / "config.d" / masking.FILE, masking.xml(), 0o644)
    for file in (*install.plan(arguments.user_scripts, arguments.config_dir, arguments.format), rules):
        if arguments.dry_run:
            print(f"would write {file.path} (mode {file.mode:o}):\n{file.text}")
        else:
            install.write(file)
            print(f"wrote {file.path}")
    if not arguments.dry_run:
        print("\nRun next, in SQL:\n\n    SYSTEM RELOAD FUNCTIONS;")
        print("    SELECT Rerank('red apple', ['green pear', 'red apple'], 1, 'BM25', '', '', '');")
        print("\nThe wrappers: clickhouse-rerank functions | clickhouse-client --multiquery")
    return 0


def _bundle(arguments: argparse.Namespace) -> int:
    from . import bundle

    configuration, notes = bundle.configuration(arguments.config) if arguments.config else (None, [])
    data = bundle.archive(arguments.format, configuration)
    bundle.write(arguments.output, data, private=configuration is not None)
    print(f"wrote {arguments.output} ({len(data):,} bytes)")
    for note in notes:
        print(f"note: {note}")
    print('\nIn the console, "User-defined functions", "Set up a UDF", upload it and enter:\n')
    for field, value in bundle.values(arguments.format):
        print(f"    {field:<28}{value}")
    print("\nRun next, in SQL:\n")
    print("    SELECT Rerank('red apple', ['green pear', 'red apple'], 1, 'BM25', '', '', '');")
    print("\nThe wrappers, to paste into the SQL console: clickhouse-rerank functions")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from .check import findings

    installed = (arguments.user_scripts / install.LAUNCHER, arguments.config_dir / install.REGISTRATION)
    mistakes = 0
    for finding in findings(os.environ, installed, call=not arguments.no_calls):
        print("ok  " if finding.good else "FIX ", finding.text)
        mistakes += not finding.good
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())

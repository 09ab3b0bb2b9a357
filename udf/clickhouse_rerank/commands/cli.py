"""The command line, `clickhouse-rerank`: beside the worker, the only place with arguments, variables and streams."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..config.settings import DEFAULT_CONFIG, config_path
from ..engine.formats import FORMATS
from ..errors import RerankError
from . import completion, functions, masking, progress, providers
from .install import report, steps
from .install.manifest import Places

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
    sql.add_argument("--path", default="", metavar="DIR", help="folder that keeps the tables")
    sql.add_argument(
        "--format", default="", help="output format (default: PrettyCompact on a terminal, else TabSeparated)"
    )

    places = _places_parser()
    put = commands.add_parser(
        "install", parents=[places], help="register Rerank with a ClickHouse server or a chDB udf_path"
    )
    put.add_argument(
        "--format", choices=FORMATS, help="what server and worker speak (default: as installed, else JSONEachRow)"
    )
    put.add_argument("--pool-size", type=_count, metavar="N", help="processes at most (default: as installed, else 16)")
    put.add_argument("--dry-run", action="store_true", help="print every change instead of making it")

    take = commands.add_parser("uninstall", parents=[places], help="remove what install wrote, and nothing else")
    take.add_argument("--dry-run", action="store_true", help="print what would be removed")

    pack = commands.add_parser("bundle", help="write the ZIP that ClickHouse Cloud takes, and what its console asks")
    pack.add_argument("--output", type=Path, default=Path("rerank.zip"), metavar="FILE", help="default rerank.zip")
    pack.add_argument("--format", choices=FORMATS, default="RowBinary", help="what service and worker speak")
    pack.add_argument("--config", type=Path, metavar="FILE", help="a configuration to put inside, keys included")

    functions = commands.add_parser("functions", help="print the SQL of the wrappers, one per provider")
    functions.add_argument("--on-cluster", default="", metavar="NAME", help="create them on every node of a cluster")
    functions.add_argument("--replace", action="store_true", help="CREATE OR REPLACE instead of IF NOT EXISTS")

    table = commands.add_parser("providers", help="print the providers with their defaults and limits")
    table.add_argument("--format", choices=("text", "markdown"), default="text")

    look = commands.add_parser("check", parents=[places], help="look for mistakes in an installation, one line each")
    look.add_argument(
        "--url", default="", help="a running server, as http://user@host:8123/; its password from CLICKHOUSE_PASSWORD"
    )
    look.add_argument("--no-calls", action="store_true", help="do not ask each provider to score one document")

    commands.add_parser("masking", help="print query_masking_rules that hide keys in SQL from the server's logs")

    shell = commands.add_parser("completion", help="print the script that lets a shell complete this command")
    shell.add_argument("shell", choices=completion.SHELLS, help="the shell that reads the script")

    commands.add_parser("worker", help="the process that ClickHouse starts", add_help=False)
    return parser


def _places_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--user-scripts", type=Path, default=_USER_SCRIPTS, metavar="DIR", help=f"default {_USER_SCRIPTS}"
    )
    parser.add_argument("--config-dir", type=Path, default=_CONFIG_DIR, metavar="DIR", help=f"default {_CONFIG_DIR}")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"default CLICKHOUSE_RERANK_CONFIG, else {DEFAULT_CONFIG}"
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return int(text)


def _places(arguments: argparse.Namespace) -> Places:
    config = arguments.config or config_path(os.environ)[0]
    return Places(arguments.user_scripts.absolute(), arguments.config_dir.absolute(), config.absolute())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["worker"]:
        from ..worker import main as worker

        worker(words[1:])
    _mend_streams()
    try:
        code = _run(_parser().parse_args(words))
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_output()  # whoever read has enough
        return 1
    except KeyboardInterrupt:
        return 130
    except PermissionError as error:
        print(f"{error.filename}: permission denied. Run this as root, or as who owns it.", file=sys.stderr)
        return 1
    except (RerankError, OSError) as error:
        _leave_output()
        print(error, file=sys.stderr)
        return 1
    return code


def _mend_streams() -> None:
    """Closed streams lead nowhere; what a terminal's encoding lacks is shown as ?."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _leave_output() -> None:
    """Without what could not be written: the interpreter's own flush at exit must not complain again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: argparse.Namespace) -> int:
    commands = {
        "demo": _demo,
        "sql": _sql,
        "install": _install,
        "uninstall": _uninstall,
        "check": _check,
        "bundle": _bundle,
    }
    if arguments.command in commands:
        return commands[arguments.command](arguments)
    print(_text(arguments), end="")
    return 0


def _text(arguments: argparse.Namespace) -> str:
    match arguments.command:
        case "providers":
            return providers.markdown() if arguments.format == "markdown" else providers.text()
        case "masking":
            return masking.xml()
        case "completion":
            return completion.script(_parser(), arguments.shell)
        case _:
            made = functions.statements(on_cluster=arguments.on_cluster, replace=arguments.replace)
            return "".join(f"{statement}\n" for _, statement in made)


def _demo(arguments: argparse.Namespace) -> int:
    from .demo import run

    return run(arguments.provider, arguments.base_url, arguments.model)


def _sql(arguments: argparse.Namespace) -> int:
    from .embedded_engine import Engine, QueryError

    text = arguments.query
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    format_name = arguments.format or ("PrettyCompact" if sys.stdout.isatty() else "TabSeparated")
    try:
        with Engine(arguments.path) as engine:
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
    places = _places(arguments)
    todo = steps.installing(places, arguments.format, arguments.pool_size)
    if not arguments.dry_run:
        steps.carry_out(places, todo)
    print("".join(report.of_installing(places, todo, dry_run=arguments.dry_run)), end="")
    return 3 if todo.in_the_way(places) else 0


def _uninstall(arguments: argparse.Namespace) -> int:
    places = _places(arguments)
    todo = steps.removing(places)
    if todo is None:
        print(f"nothing is installed: there is no {places.record}")
        return 0
    gone = todo.folders if arguments.dry_run else steps.remove(todo)
    print("".join(report.of_removing(todo, gone, dry_run=arguments.dry_run)), end="")
    return 3 if set(todo.kept) - {places.config} else 0


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
    from .check import address, findings

    user, password = os.environ.get("CLICKHOUSE_USER", "default"), os.environ.get("CLICKHOUSE_PASSWORD", "")
    server = address(arguments.url, user, password) if arguments.url else None
    mistakes = 0
    for finding in findings(os.environ, _places(arguments), call=not arguments.no_calls, server=server):
        print("ok  " if finding.good else "FIX ", finding.text, flush=True)
        mistakes += not finding.good
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())

"""The arguments of `clickhouse-rerank`: one parser for all commands, with their help texts."""

import argparse
from pathlib import Path
from typing import Any

from .. import __version__
from ..config.settings import DEFAULT_CONFIG
from ..engine.formats import FORMATS

SHELLS = ("bash", "zsh", "fish")
"""The shells that `completion` prints a script for."""
_USER_SCRIPTS = Path("/var/lib/clickhouse/user_scripts")
_CONFIG_DIR = Path("/etc/clickhouse-server")
_MODELS = Path("/var/lib/clickhouse-rerank/models")


def build_parser() -> argparse.ArgumentParser:
    """The parser; `command` of its result is the name of the command."""
    parser = argparse.ArgumentParser(prog="clickhouse-rerank", description="Rerank as a SQL function for ClickHouse.")
    parser.add_argument("--version", action="version", version=f"clickhouse-rerank {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    paths = _path_options()

    def command(name: str, text: str, **options: Any) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", **options)

    demo = command("demo", "run a RAG query on the embedded engine, and show its documents before and after Rerank")
    demo.add_argument("--provider", default="BM25", help="the provider that reranks (default: BM25, needs no key)")
    demo.add_argument("--base-url", default="", help="the provider's URL, for example the URL of your own server")
    demo.add_argument("--model", default="", help="the provider's model")

    sql = command("sql", "run SQL on the embedded engine with Rerank and its wrappers")
    sql.add_argument("query", help="the statements; - reads them from standard input")
    sql.add_argument(
        "--path", default="", metavar="DIR", help="folder that keeps the tables (default: tables are not kept)"
    )
    sql.add_argument(
        "--format", default="", help="output format (default: PrettyCompact on a terminal, else TabSeparated)"
    )
    sql.add_argument(
        "--dry-run",
        action="store_true",
        help="send nothing, and print what the calls would cost instead of the result; kept tables are only read",
    )

    install = command("install", "register Rerank with a ClickHouse server or in a chDB udf_path", parents=[paths])
    install.add_argument(
        "--format",
        choices=FORMATS,
        help="row format between server and worker (default: the installed one, else JSONEachRow)",
    )
    install.add_argument(
        "--pool-size",
        type=_positive,
        metavar="N",
        help="maximum number of worker processes (default: the installed number, else 16)",
    )
    install.add_argument(
        "--model",
        default="",
        help="bring a model that scores in the worker: from the Hugging Face hub by its name, or from a folder",
    )
    install.add_argument(
        "--models", type=Path, metavar="DIR", default=_MODELS, help=f"folder of the models (default: {_MODELS})"
    )
    install.add_argument("--dry-run", action="store_true", help="print every change, but change nothing")

    uninstall = command("uninstall", "remove the files that install wrote, and nothing else", parents=[paths])
    uninstall.add_argument("--dry-run", action="store_true", help="print what would be removed, but remove nothing")

    bundle = command("bundle", "write the ZIP file for ClickHouse Cloud, and print the values to enter in its console")
    bundle.add_argument(
        "--output",
        type=Path,
        default=Path("rerank.zip"),
        metavar="FILE",
        help="ZIP file to write (default: rerank.zip)",
    )
    bundle.add_argument(
        "--format",
        choices=FORMATS,
        default="RowBinary",
        help="row format between service and worker (default: RowBinary)",
    )
    bundle.add_argument("--config", type=Path, metavar="FILE", help="configuration to include, with its keys")

    functions = command("functions", "print the SQL that creates the wrappers, one per provider, or the library")
    functions.add_argument(
        "--library", action="store_true", help="print the library instead: shapes, fusions, measures, calibration"
    )
    functions.add_argument(
        "--on-cluster", default="", metavar="NAME", help="create the functions on every node of this cluster"
    )
    functions.add_argument("--replace", action="store_true", help="replace existing functions (default: keep them)")

    providers = command("providers", "print the providers with their defaults and limits")
    providers.add_argument(
        "--format", choices=("text", "markdown"), default="text", help="output format (default: text)"
    )

    check = command("check", "check an installation, and print one line per finding", parents=[paths])
    check.add_argument(
        "--url",
        default="",
        help="a running server to check too, as http://user@host:8123/; set its password in CLICKHOUSE_PASSWORD",
    )
    check.add_argument("--no-calls", action="store_true", help="make no calls with the credentials")

    _evaluate_options(command("evaluate", "measure how well rankers order your candidates, and what that costs"))

    _model_actions(command("model", "fetch, add, prepare, list, check and remove models that score in the worker"))

    command("masking", "print the query_masking_rules that hide keys in SQL from the server's logs")

    completion = command("completion", "print the script with which a shell completes this command")
    completion.add_argument("shell", choices=SHELLS, help="the shell that reads the script")

    command("worker", "run the worker process, which ClickHouse starts", add_help=False)
    return parser


def _evaluate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--questions",
        default="",
        metavar="SELECT|FILE|DIR",
        help="a row per candidate with question and document, perhaps question_id, document_id and grade: by a SELECT, "
        "or in a file of any format that ClickHouse reads; or a folder in BEIR's layout",
    )
    parser.add_argument("--run", type=Path, metavar="FILE", help="candidates for a folder in BEIR's layout: a TREC run")
    parser.add_argument(
        "--qrels", type=Path, metavar="FILE", help="judgements: TREC qrels, BEIR's table, or JSON lines of a report"
    )
    parser.add_argument(
        "--ranker",
        action="append",
        default=[],
        metavar="NAME=RANKER",
        help="repeat it: PROVIDER, PROVIDER/MODEL, none for the given order, or a JSON object of provider, model, "
        "base_url, api_key and others",
    )
    parser.add_argument("--baseline", default="", metavar="NAME", help="compare with this ranker (default: the first)")
    parser.add_argument("--judge", default="", metavar="RANKER", help="a decision model that judges the candidates")
    parser.add_argument(
        "--top-k", type=_positive, default=10, metavar="K", help="compare down to place K (default: 10)"
    )
    parser.add_argument(
        "--max-cost", type=float, default=1.0, metavar="AMOUNT", help="ask before more is spent (default: 1)"
    )
    parser.add_argument("--fresh", action="store_true", help="ask all questions again, also those answered earlier")
    parser.add_argument("--path", default="", metavar="DIR", help="folder of the tables that the SELECT reads")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write an HTML page to read, print and pass on")
    parser.add_argument("--json", action="store_true", help="print all figures and orders as JSON")
    parser.add_argument("--demo", action="store_true", help="evaluate a small set of questions that comes along")


def _model_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    into = argparse.ArgumentParser(add_help=False)
    into.add_argument(
        "--into",
        type=Path,
        metavar="DIR",
        help="folder of the models (default: ~/.local/share/clickhouse-rerank/models)",
    )

    def action(name: str, text: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[into])

    pull = action("pull", "fetch a model from the Hugging Face hub")
    pull.add_argument("model", help="the model, for example cross-encoder/ms-marco-MiniLM-L6-v2")
    pull.add_argument("--revision", default="", help="branch, tag or commit (default: the newest)")
    add = action("add", "copy a model from a folder")
    add.add_argument("folder", type=Path, help="a folder with an ONNX file, tokenizer.json and config.json")
    for one in (pull, add):
        one.add_argument("--name", default="", help="the name that SQL uses (default: that of the model or folder)")
        one.add_argument("--file", default="", help="the ONNX file (default: the one that suits the processor)")
    prepare = action(
        "prepare", "write the form of a model that processes share, again: onnxruntime is new, or the processor"
    )
    prepare.add_argument("name", help="the model's name")
    action("list", "print the models with their sizes and origins")
    action("check", "load a model, and measure its speed and memory").add_argument("name", help="the model's name")
    action("remove", "remove a model's folder").add_argument("name", help="the model's name")


def _path_options() -> argparse.ArgumentParser:
    """The options that say where an installation is."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--user-scripts",
        type=Path,
        default=_USER_SCRIPTS,
        metavar="DIR",
        help=f"the server's user_scripts_path (default: {_USER_SCRIPTS})",
    )
    parser.add_argument(
        "--config-dir",
        type=Path,
        default=_CONFIG_DIR,
        metavar="DIR",
        help=f"the folder of the server's config.xml (default: {_CONFIG_DIR})",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the configuration of Rerank (default: CLICKHOUSE_RERANK_CONFIG, else {DEFAULT_CONFIG})",
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return int(text)

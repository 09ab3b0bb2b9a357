"""The shape of the code: who imports whom, what is loaded when, and where vendors are named."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import clickhouse_rerank
import engine_bytes
from clickhouse_rerank.model import Row
from clickhouse_rerank.providers import PROVIDERS
from conftest import ROOT, Worker, worker_environment
from provider import Provider

PACKAGE = Path(clickhouse_rerank.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"boto3", "botocore", "chdb", "numpy"}

# Each imports from the layers above it only; a folder is one module.
LAYERS: tuple[set[str], ...] = (
    {
        "errors",
        "keys",
        "model",
        "install",
        "neighbours",
        "progress",
        "seclusion",
        "tally",
        "account",
        "server_config",
        "__init__",
    },
    {"formats", "wires", "local", "auth", "retry", "gate", "window", "wording"},
    {"providers", "framing"},
    {"options", "urls", "wrappers", "catalogue", "credentials", "masking"},
    {"storage", "prices"},
    {"settings", "aws"},
    {"endpoints", "meter", "installation"},
    {"guard", "plan", "score_file", "usage_file"},
    {"cache", "usage", "estimate"},
    {"dialling"},
    {"transport"},
    {"replies"},
    {"exchange"},
    {"rerank"},
    {"chunk"},
    {"worker", "embedded", "bundle"},
    {"demo", "check"},
    {"cli"},
)
LAYER = {module: number for number, layer in enumerate(LAYERS) for module in layer}

# Third-party packages, and the modules that may import them.
OWNERS = {
    "aiohttp": {"dialling", "transport"},
    "yarl": {"transport"},
    "certifi": {"dialling"},
    "botocore": {"auth"},
    "bm25s": {"local"},
    "chdb": {"embedded"},
    "clickhouse_connect": {"check"},
    "orjson": {"formats", "wires", "replies", "wording", "exchange", "rerank", "usage", "estimate"},
}
LAZY = {"botocore", "chdb", "clickhouse_connect", "bm25s", "numpy"}


def module(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(file: Path) -> Iterator[tuple[str, bool]]:
    """(dotted name, at module level) of each import; the package's own names begin with a dot."""
    tree = ast.parse(file.read_text("utf-8"))
    top = set(map(id, tree.body))
    depth = len(file.relative_to(PACKAGE).parts) - 1
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.level:
            if node.level <= depth:
                yield "." + module(file), id(node) in top
            elif node.module:
                yield "." + node.module, id(node) in top
            else:
                for alias in node.names:
                    yield "." + alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module), id(node) in top


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_one_way(file: Path) -> None:
    """A module imports only from layers below its own; a new module needs a place among them."""
    mine = module(file)
    assert mine in LAYER, f"{mine} has no place in LAYERS"
    for name, _ in imported(file):
        if name.startswith("."):
            other = name.lstrip(".").partition(".")[0]
            other = "__init__" if other == "__version__" else other
            assert other == mine or LAYER[other] < LAYER[mine], f"{mine} imports {other}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_libraries_have_one_owner(file: Path) -> None:
    """Each third-party library is imported by its owner only, and the heavy ones inside functions only."""
    for name, at_top in imported(file):
        library = name.partition(".")[0]
        if name.startswith(".") or library in sys.stdlib_module_names:
            continue
        assert module(file) in OWNERS.get(library, set()), f"{file.name} imports {library}"
        assert not (at_top and library in LAZY), f"{file.name} imports {library} at its top"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_environment_is_read_at_the_edge(file: Path) -> None:
    """os.environ and the standard streams exist for the worker, the command line and the demonstration only."""
    nodes = list(ast.walk(ast.parse(file.read_text("utf-8"))))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.id for node in nodes if isinstance(node, ast.Name)}
    if module(file) not in {"worker", "cli", "embedded"}:
        assert not used & {"environ", "environb", "getenv"}
    own = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)} | used & {"print", "input"}
    if module(file) not in {"worker", "cli", "demo"}:
        assert not own & {"sys.stdin", "sys.stdout", "sys.stderr", "print", "input"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_vendors_are_named_in_their_place(file: Path) -> None:
    """A vendor's name stands with the providers and the wires, and nowhere else in the package."""
    if module(file) not in {"providers", "wires"}:
        names = "|".join(record.name for record in PROVIDERS.values() if record.wire)
        quoted = "|".join(f"""["']{key}["']""" for key, record in PROVIDERS.items() if record.wire)
        assert not re.findall(rf"\b(?:{names})(?![a-z])|{quoted}", file.read_text("utf-8"))


def loaded(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after `code`."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    out = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(out.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import clickhouse_rerank`, its command line and its embedded engine's module load no heavy library."""
    assert not loaded("import clickhouse_rerank") & {*HEAVY, "aiohttp"}
    assert not loaded("import clickhouse_rerank.cli, clickhouse_rerank.embedded, clickhouse_rerank.demo") & HEAVY


NOTING = """
import os, sys
from clickhouse_rerank import worker
leave = os._exit
def note(code):
    with open(sys.argv[1], "w") as file:
        file.write(" ".join({name.partition(".")[0] for name in sys.modules}))
    leave(code)
os._exit = note
worker.main(["--embedded"])
"""


def test_a_worker_for_http_stays_small(provider: Provider, tmp_path: Path) -> None:
    """A worker that has answered over HTTP has loaded neither boto3, botocore, chDB nor numpy."""
    seen = tmp_path / "modules"
    one = Worker(Path(sys.executable), ["-I", "-c", NOTING, str(seen)], worker_environment())
    try:
        row = Row("a", ["b", "a"], 1, "Cohere", provider.url, "the-key", "")
        one.send(engine_bytes.chunk([row], "JSONEachRow"))
        assert one.lines(1) == [b'{"result":[[1,"a",1.0]]}\n']
        assert one.finish()[0] == 0
    finally:
        one.process.kill()
        one.process.communicate()
    names = set(seen.read_text().split())
    assert "aiohttp" in names
    assert not names & {*HEAVY, "bm25s", "sqlite3"}


def test_the_launcher_has_no_logic() -> None:
    """The launcher imports the worker and calls it."""
    tree = ast.parse((ROOT / "udf" / "rerank").read_text("utf-8"))
    kinds = [type(node) for node in tree.body]
    assert kinds == [ast.Expr, ast.Import, ast.ImportFrom, ast.Expr]

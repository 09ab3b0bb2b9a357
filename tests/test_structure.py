"""The shape of the code: which room imports which, what is loaded when, and where vendors are named.

`make generate` draws the picture of the rooms in CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import clickhouse_rerank
import engine_bytes
from clickhouse_rerank.providers import PROVIDERS
from clickhouse_rerank.types import Row
from conftest import ROOT, Worker, worker_environment
from provider import Provider
from trees import syntax_tree

PACKAGE = Path(clickhouse_rerank.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"boto3", "botocore", "chdb", "numpy", "onnxruntime", "tokenizers"}

ROOMS: dict[str, set[str]] = {
    "commands": {
        "worker",
        "engine",
        "reranker",
        "scorers",
        "usage",
        "config",
        "providers",
        "types",
        "errors",
        "version",
    },
    "worker": {"engine", "reranker", "usage", "network", "config", "errors"},
    "engine": {"reranker", "usage", "config", "types", "errors"},
    "reranker": {
        "admission",
        "cache",
        "client",
        "config",
        "errors",
        "network",
        "providers",
        "request",
        "scorers",
        "types",
        "usage",
    },
    "client": {"admission", "network", "usage", "request", "config", "providers", "types", "errors"},
    "cache": {"request", "config", "types", "version"},
    "network": {"request", "config", "providers", "types", "errors"},
    "usage": {"request", "config", "types", "errors"},
    "admission": {"config", "errors"},
    "request": {"config", "providers", "types", "errors"},
    "config": {"providers", "types", "errors"},
    "providers": {"types", "errors"},
    "scorers": {"config", "providers", "types", "errors"},
    "types": set(),
    "errors": set(),
    "version": set(),
}
"""Room -> rooms that it imports; a room stands above all that it imports. `version` is the package's `__init__`."""

OWNERS = {
    "aiohappyeyeballs": {"network.connection_pool"},
    "httptools": {"network.response_reader"},
    "certifi": {"network.connection_pool"},
    "botocore": {"request.auth"},
    "bm25s": {"scorers.bm25"},
    "onnxruntime": {"scorers.network"},
    "tokenizers": {"scorers.cross_encoder"},
    "numpy": {"scorers.cross_encoder"},
    "chdb": {"commands.embedded_engine"},
    "clickhouse_connect": {"commands.check.server"},
    "huggingface_hub": {"commands.model.hub"},
    "shtab": {"commands.completion"},
    "orjson": {
        "engine.formats.json_each_row",
        "network.redaction",
        "network.responses",
        "providers.wires",
        "providers.wires.rankings",
        "usage.dry_run",
        "usage.recorder",
    },
}
"""Third-party package -> modules that import it."""
LAZY = {
    "botocore",
    "chdb",
    "clickhouse_connect",
    "bm25s",
    "huggingface_hub",
    "numpy",
    "onnxruntime",
    "shtab",
    "tokenizers",
}
MAX_LINES = 250
MAX_ENTRIES = 16


def module(file: Path) -> str:
    """The dotted name of a file inside the package; "" for the package's own `__init__`."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


MODULES = {module(file): file for file in FILES}
TREES = {file: syntax_tree(file.read_text("utf-8")) for file in FILES}


def room(name: str) -> str:
    """The room of a module."""
    return name.partition(".")[0] or "version"


def imported(file: Path) -> Iterator[tuple[str, bool]]:
    """(dotted name, at module level) of each import; the package's own modules begin with a dot."""
    tree = TREES[file]
    top = set(map(id, tree.body))
    folder = file.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = [*folder[: len(folder) - node.level + 1], *filter(None, [node.module])]
            for alias in node.names:
                name = ".".join([*base, alias.name])
                yield "." + (name if name in MODULES else ".".join(base)), id(node) in top
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module), id(node) in top


def own_imports(name: str) -> set[str]:
    """The package's modules that a module imports."""
    return {other[1:] for other, _ in imported(MODULES[name]) if other.startswith(".")} - {name}


def test_rooms_import_what_the_table_says() -> None:
    """Each import between rooms is in ROOMS, and each entry of ROOMS is an import that exists."""
    found: dict[str, set[str]] = {room(name): set() for name in MODULES}
    for name in MODULES:
        found[room(name)] |= {room(other) for other in own_imports(name)} - {room(name)}
    assert found == ROOMS


PAGE = ROOT / "CONTRIBUTING.md"


def picture() -> str:
    """ROOMS as a diagram, without the arrows that follow from others."""
    reached: dict[str, set[str]] = {}
    for name in TopologicalSorter(ROOMS).static_order():
        reached[name] = ROOMS[name].union(*(reached[other] for other in ROOMS[name]))
    lines = [
        f"    {name} --> {other}\n"
        for name, others in ROOMS.items()
        for other in sorted(others)
        if not any(other in reached[between] for between in others - {other})
    ]
    return "```mermaid\nflowchart TD\n" + "".join(lines) + "```\n"


def with_picture(text: str) -> str:
    """The page with the picture as it is now."""
    before, _, rest = text.partition("<!-- rooms -->\n")
    _, marker, behind = rest.partition("<!-- /rooms -->")
    return f"{before}<!-- rooms -->\n{picture()}{marker}{behind}"


def test_the_picture_of_the_rooms_is_current() -> None:
    """CONTRIBUTING.md shows what the table says."""
    assert PAGE.read_text("utf-8") == with_picture(PAGE.read_text("utf-8")), "run: make generate"


MAP = re.findall(
    r"`([a-z_]+/[a-z_/.]*)`", PAGE.read_text("utf-8").partition("| you look for |")[2].partition("\n\n")[0]
)


@pytest.mark.parametrize("place", [place for place in MAP if not place.startswith(("docs/", "tests/"))])
def test_the_map_names_what_exists(place: str) -> None:
    """Each place of the map in CONTRIBUTING.md is a module or a folder of the package."""
    assert (PACKAGE / place).exists()


def test_no_import_runs_back() -> None:
    """Neither rooms nor the modules inside a room import each other in a circle."""
    # A package's __init__ and its modules are one node: whoever imports a module imports its packages too.
    TopologicalSorter(ROOMS).prepare()
    TopologicalSorter({name: own_imports(name) for name in MODULES}).prepare()


def test_rooms_are_few_and_say_what_they_are() -> None:
    """The package's root stays small; each folder's `__init__` has three sentences or more."""
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__", "share"}
    assert len(entries) <= MAX_ENTRIES
    for folder in (path for path in PACKAGE.iterdir() if path.is_dir() and path.name in ROOMS):
        text = ast.get_docstring(TREES[folder / "__init__.py"]) or ""
        assert "Owns " in text and "Refuses " in text and len(re.findall(r"[.:](?=\s|$)", text)) >= 3, folder.name


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_modules_stay_short(file: Path) -> None:
    """A module that is longer holds two ideas."""
    assert len(file.read_text("utf-8").splitlines()) <= MAX_LINES


def test_libraries_have_the_owners_that_the_table_says() -> None:
    """Each third-party library is imported by its owners and by nobody else; the heavy ones inside functions only."""
    found: dict[str, set[str]] = {}
    for name, file in MODULES.items():
        for other, at_top in imported(file):
            library = other.partition(".")[0]
            if library and library not in sys.stdlib_module_names:
                found.setdefault(library, set()).add(name)
                assert not (at_top and library in LAZY and "TYPE_CHECKING" not in file.read_text("utf-8"))
    assert found == OWNERS


ENVIRONMENT_READERS = {"worker", "commands.cli"}
STREAM_OWNERS = {"worker", "engine.streams", "commands.cli"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_environment_is_read_at_the_edge(file: Path) -> None:
    """Only the worker and the command line use os.environ and the standard streams."""
    nodes = list(ast.walk(TREES[file]))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.id for node in nodes if isinstance(node, ast.Name)}
    assert bool(used & {"environ", "environb", "getenv"}) == (module(file) in ENVIRONMENT_READERS)
    own = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)} | used & {"print", "input"}
    streams = bool(own & {"sys.stdin", "sys.stdout", "sys.stderr", "print", "input"})
    assert module(file) in STREAM_OWNERS or not streams


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_vendors_are_named_in_their_place(file: Path) -> None:
    """A vendor's name stands in the room of the providers, and nowhere else in the package."""
    if room(module(file)) != "providers":
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
    assert not loaded("import clickhouse_rerank") & {*HEAVY, "httptools"}
    commands = ("cli", "embedded_engine", "demo")
    assert not loaded(f"from clickhouse_rerank.commands import {', '.join(commands)}") & HEAVY


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
    assert "httptools" in names
    assert not names & {*HEAVY, "bm25s", "sqlite3"}


def test_the_launcher_has_no_logic() -> None:
    """The launcher imports the worker and calls it."""
    tree = syntax_tree((ROOT / "udf" / "rerank").read_text("utf-8"))
    kinds = [type(node) for node in tree.body]
    assert kinds == [ast.Expr, ast.Import, ast.ImportFrom, ast.Expr]


if __name__ == "__main__":
    PAGE.write_text(with_picture(PAGE.read_text("utf-8")), "utf-8")

"""The documentation as a reader uses it: every SQL block runs, every command parses, every link leads somewhere.

A page is one session of an engine of its own. Its SQL and the credentials of its TOML are used as they stand there;
https goes through a proxy to loopback, and plain http origins are replaced by one there. A block under the comment
`engine: cluster` is parsed only. `make generate` writes the outputs that pages show anew.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import model_folder
import page_engine
from certificates import Certificates
from clickhouse_rerank.commands.arguments import build_parser
from clickhouse_rerank.config.settings import Settings, parse, reference
from clickhouse_rerank.errors import CODES
from clickhouse_rerank.providers import PROVIDERS
from clickhouse_rerank.request import auth
from clickhouse_rerank.request.endpoint import resolve
from conftest import ROOT, worker_environment
from internet import Internet
from pages import LINKED, PAGES, Block, anchors, blocks, links, statements
from trees import syntax_tree

REGION = "us-east-1"
_ORIGIN = re.compile(r"http://[^/'\"\s]+")
_NAMED_PAGE = [pytest.param(page, id=page.name) for page in PAGES]
_LINKED_PAGE = [pytest.param(page, id=page.name) for page in LINKED]


def hosts() -> set[str]:
    """Every host that a page or a provider's record names, and Amazon's in the one region that pages use."""
    texts = [page.read_text("utf-8") for page in PAGES] + [record.url for record in PROVIDERS.values()]
    named = {host for text in texts for host in re.findall(r"https://([a-z0-9][a-z0-9.-]*[a-z0-9])", text)}
    services = (record.aws.endpoint for record in PROVIDERS.values() if record.aws)
    return named | {auth.aws_host(service, REGION) for service in services}


class Reader:
    """Someone who pastes what a page says, in order."""

    def __init__(self, internet: Internet, authority: Path, folder: Path) -> None:
        self.internet, self._authority, self._folder = internet, authority, folder

    def follow(self, page: Path) -> list[tuple[Block, list[tuple[bool, str]]]]:
        """Each SQL block of a page with the outcome of its statements."""
        self.internet.reset()
        found = blocks(page.read_text("utf-8"))
        queries = [block for block in found if block.language == "sql"]
        asked = [[self._asked(one, block) for one in statements(block.text)] for block in queries]
        environment = self._environment(page, [block.text for block in found if block.language == "toml"])
        outcomes = iter(page_engine.run([one for each in asked for one in each], environment))
        return [(block, [next(outcomes) for _ in each]) for block, each in zip(queries, asked, strict=True)]

    def _asked(self, statement: str, block: Block) -> str:
        text = self._on_loopback(statement)
        quoted = text.replace("\\", "\\\\").replace("'", "\\'")
        return f"SELECT formatQuery('{quoted}')" if block.on_cluster else text

    def _on_loopback(self, text: str) -> str:
        return _ORIGIN.sub(self.internet.plain.url, text)

    def _environment(self, page: Path, tables: list[str]) -> dict[str, str]:
        """That of an engine with the page's credentials and this reader's network."""
        variables = {}
        lines = [f'[network]\nproxy = "{self.internet.proxy}"\nca_file = "{self._authority}"\n']
        for name, table in credentials_of(tables).items():
            lines.append(f"[credentials.{name}]\n")
            for key, value in table.items():
                if key == "api_key_env":
                    variables[value] = "key-in-a-variable"
                elif key == "api_key_file":
                    value = str(self._folder / "key")  # noqa: PLW2901
                    secret(Path(value))
                lines.append(f"{key} = {self._on_loopback(toml(value))}\n")
        config = self._folder / f"{page.stem}.toml"
        config.write_text("".join(lines), "utf-8")
        config.chmod(0o600)
        aws = {
            "AWS_ACCESS_KEY_ID": "AKIDSERVER",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        models = {"XDG_DATA_HOME": str(self._folder)}
        return worker_environment(CLICKHOUSE_RERANK_CONFIG=str(config), **aws, **models, **variables)


def credentials_of(tables: list[str]) -> Mapping[str, Mapping[str, Any]]:
    """The credentials of all TOML blocks of a page, by name; a later one replaces an earlier one."""
    return {name: one for text in tables for name, one in tomllib.loads(text).get("credentials", {}).items()}


def secret(path: Path) -> None:
    """A file with a key in it."""
    path.write_text("key-in-a-file")
    path.chmod(0o600)


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(member)}" for key, member in value.items()) + " }"
    return json.dumps(value)


@pytest.fixture(scope="module")
def reader(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader on a made-up internet."""
    names = ",".join(f"DNS:{host}" for host in sorted(hosts()))
    internet = Internet(certificates.server("internet", host=names))
    folder = tmp_path_factory.mktemp("pages")
    model_folder.make(folder / "clickhouse-rerank" / "models" / "words")
    yield Reader(internet, certificates.authority, folder)
    internet.close()


def output(outcomes: list[tuple[bool, str]]) -> str:
    """What the statements of a block print, as a page shows it."""
    lines = "".join(text for _, text in outcomes).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines).strip("\n") + "\n"


@pytest.mark.parametrize("page", _NAMED_PAGE)
def test_the_sql_of_a_page_runs(reader: Reader, page: Path) -> None:
    """In order, in one session; where an output is shown under a block, it is that one, an error included."""
    for block, outcomes in reader.follow(page):
        where = f"{page.name}:{block.line}"
        told = block.shown or ""
        assert all(good or told.startswith("Rerank: ") for good, _ in outcomes), f"{where}: {output(outcomes)}"
        if block.shown is not None:
            assert output(outcomes) == block.shown, f"{where}: run: make generate"


def test_each_provider_is_asked_in_both_forms(reader: Reader) -> None:
    """Each default host is reached with the key of the server, and with one of SQL."""
    results = reader.follow(ROOT / "docs" / "providers.md")
    carried: dict[str, list[str]] = {}
    for request in reader.internet.requests:
        proof = " ".join(request.headers.get(name, "") for name in ("authorization", "api-key", "x-goog-api-key"))
        carried.setdefault(request.headers["host"], []).append(proof)
    for record in PROVIDERS.values():
        if not record.url and record.aws is None:
            continue
        host = auth.aws_host(record.aws.endpoint, REGION) if record.aws else record.url.split("/")[2]
        signed_by = ("AKIAIOSFODNN7EXAMPLE", "YOUR_AWS_ACCESS_KEY_ID") if record.aws else ("key-in-a-file", "YOUR_")
        for key in signed_by:
            assert any(key in proof for proof in carried.get(host, ())), f"{record.name}: {key} at {host}"
    asked = [text for block, _ in results for text in statements(block.text)]
    for record in PROVIDERS.values():
        assert any(f"{record.name}Rerank(" in text for text in asked), record.name
        assert any(f"'{record.name}'" in text for text in asked), record.name


@pytest.mark.parametrize("page", _NAMED_PAGE)
def test_the_configuration_of_a_page_is_one(page: Path, tmp_path: Path) -> None:
    """Each TOML block is accepted as it stands, but for paths of this machine."""
    file = tmp_path / "file"
    secret(file)
    for block in blocks(page.read_text("utf-8")):
        if block.language != "toml":
            continue
        text = re.sub(r'((?:api_key_file|ca_file) *= *)"[^"]*"', rf'\1"{file}"', block.text)
        variables = dict.fromkeys(re.findall(r'api_key_env *= *"(\w+)"', text), "key")
        settings = parse(tomllib.loads(text), variables, where=f"{page.name}:{block.line}")
        for credential in settings.credentials.values():
            record = PROVIDERS[credential.provider]
            resolve(record.name, "", f"cred:{credential.name}", "", settings)


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in LINKED])
def test_the_commands_of_a_page_parse(page: Path) -> None:
    """Every `clickhouse-rerank` in a shell block is taken by the real parser; every `make` names targets."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for block in blocks(page.read_text("utf-8")):
        if block.language != "sh":
            continue
        for words in commands(block.text):
            where = f"{page.name}:{block.line}: {shlex.join(words)}"
            name = words[0].rpartition("/")[2]
            if name == "clickhouse-rerank" and words[1:2] != ["worker"]:
                try:
                    build_parser().parse_args(words[1:])
                except SystemExit as ended:
                    assert not ended.code, where
            elif name == "make":
                assert {word for word in words[1:] if "=" not in word} <= targets, where


def commands(text: str) -> Iterator[list[str]]:
    """The simple commands of a shell block as words, without sudo, its options, and variables before them."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;<>()"):
                if command:
                    yield command
                command = [] if set(word) <= set("|&;()") else ["redirection"]
            elif command or not re.fullmatch(r"\w+=.*|sudo|-u|clickhouse", word):
                command.append(word)


@pytest.mark.parametrize("page", _LINKED_PAGE)
def test_links_lead_somewhere(page: Path) -> None:
    """Files exist beside the page, headings in the file."""
    for target in links(page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text("utf-8")), f"{page.name}: {target}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.name)
def test_a_page_is_found_from_the_readme(page: Path) -> None:
    """The README links to each page."""
    assert f"docs/{page.name}" in links((ROOT / "README.md").read_text("utf-8"))


# --- What the code can say, and the pages explain


def raised() -> set[str]:
    """The codes that the package's source gives to anything that takes one, found where they stand as literals."""
    trees = [syntax_tree(file.read_text("utf-8")) for file in (ROOT / "udf").rglob("*.py")]
    takers = {name: place for tree in trees for name, place in _takers(tree)}
    codes = set()
    for call in (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name == "__init__" and ast.unparse(call.func) != "super().__init__":
            continue
        place = takers.get(name, 0 if name == "__init__" else None)
        given = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
        if place is not None and len(call.args) > place:
            given.append(call.args[place])
        codes |= {one.value for one in given if isinstance(one, ast.Constant) and str(one.value).isupper()}
    return codes


def _takers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(name, position of its code) of each error class, record with a code, and function with such a parameter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            if node.name.endswith("Error"):
                yield node.name, 0
            members = [item.target.id for item in node.body if isinstance(item, ast.AnnAssign)]  # type: ignore[union-attr]
            if "code" in members:
                yield node.name, members.index("code")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "__init__":
            names = [argument.arg for argument in node.args.args if argument.arg != "self"]
            if "code" in names:
                yield node.name, names.index("code")


def test_every_code_that_can_be_raised_is_explained_and_no_other() -> None:
    """The table that docs/errors.md is made of has exactly the codes that the source can raise."""
    assert raised() == set(CODES)


def test_every_key_of_the_configuration_is_explained() -> None:
    """The reference has each field that a file can set, with a meaning; what it has is accepted by the loader."""
    known = {(table, name) for table, name, _ in reference()}
    for table in Settings.__dataclass_fields__.keys() - {"credentials", "models", "prices"}:
        fields = type(getattr(Settings(), table)).__dataclass_fields__
        unexplained = {name for name in fields if (table, name) not in known}
        assert unexplained <= {"allow_loopback"}, f"[{table}] {unexplained}: declare them with schema.setting"
    assert all(key.meaning and not key.meaning.endswith(".") for _, _, key in reference())


def test_every_sql_file_has_its_oldest_server() -> None:
    """In the table of docs/install.md."""
    section = (
        (ROOT / "docs" / "install.md").read_text("utf-8").partition("## The oldest server")[2].partition("## Exit")[0]
    )
    for path in (ROOT / "sql").rglob("*.sql"):
        assert path.parent.name == "functions" or re.search(rf"\b{path.stem}\b", section), path.name


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        authority = Certificates(folder)
        world = Internet(authority.server("internet", host=",".join(f"DNS:{host}" for host in sorted(hosts()))))
        pasted = Reader(world, authority.authority, folder)
        for page in [Path(name).resolve() for name in sys.argv[1:]] or PAGES:
            text = page.read_text("utf-8")
            for block, outcomes in reversed(pasted.follow(page)):
                if block.shown is not None:
                    start, end = block.place
                    text = text[:start] + output(outcomes) + text[end:]
                for good, said in outcomes:
                    if not (good or said.startswith("Rerank: ")):
                        print(f"{page.name}:{block.line}: {said}", file=sys.stderr)
            page.write_text(text, "utf-8")
        world.close()
        os._exit(0)

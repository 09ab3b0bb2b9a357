"""The README says what the code does: its tables are generated, its SQL and TOML run.

`python tests/test_readme.py` writes the generated tables anew.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from clickhouse_rerank import catalogue
from clickhouse_rerank.errors import CODES
from clickhouse_rerank.providers import PROVIDERS, Option
from clickhouse_rerank.providers.common import NAMED
from clickhouse_rerank.settings import parse
from conftest import Sql
from url_cases import CASES

README = Path(__file__).parents[1] / "README.md"


def errors() -> str:
    """The table of codes."""
    rows = "".join(f"| `{code}` | {meaning.meaning} | {meaning.remedy} |\n" for code, meaning in CODES.items())
    return "| code | meaning | what helps |\n|---|---|---|\n" + rows


def urls() -> str:
    """What a base_url becomes."""
    rows = "".join(f"| `{name}` | `'{given}'` | `{becomes}` |\n" for name, given, becomes in CASES)
    return "| provider | base_url | requests go to |\n|---|---|---|\n" + rows


def options() -> str:
    """The keys of `others` that only some providers take."""
    common = {*NAMED, "on_error", "fallback"}
    table = "| provider | keys |\n|---|---|\n"
    for record in PROVIDERS.values():
        known = dict(record.options)
        for _, variant in record.variants:
            known |= variant.options
        words = [f"`{key}` ({described(option)})" for key, option in known.items() if key not in common]
        table += f"| `{record.name}` | {', '.join(words)} |\n" if words else ""
    return table


def described(option: Option) -> str:
    """Type, choices and bounds of a key, in a few words."""
    if option.choices:
        return " or ".join(f"`{choice}`" for choice in option.choices)
    low, high = (f"{bound:g}" if bound is not None else "" for bound in (option.low, option.high))
    bounds = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}" if high else ""
    return f"{option.type}, {bounds}" if bounds else option.type


BLOCKS: dict[str, Callable[[], str]] = {
    "providers": catalogue.markdown,
    "urls": urls,
    "options": options,
    "errors": errors,
}


def with_blocks(text: str) -> str:
    """The README's text with every generated table as it should be."""
    for name, render in BLOCKS.items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, found = block.subn(rf"\g<1>{_escaped(render())}\g<2>", text)
        assert found == 1, f"README has {found} blocks {name}"
    return text


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\")


def fenced(language: str) -> list[str]:
    """The README's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def test_generated_tables_are_current() -> None:
    """Each table is what the code would write today."""
    text = README.read_text("utf-8")
    assert with_blocks(text) == text, "run: python tests/test_readme.py"


def test_the_first_query_gives_the_output_shown(sql: Sql) -> None:
    """A reader who pastes the first query sees the result that stands under it."""
    shown = re.findall(r"│ +(\d+) │ (.*?) +│ +([\d.]+) │", README.read_text("utf-8"))
    assert [(str(i), text, f"{score:.6f}") for i, text, score in sql.rows(fenced("sql")[0])] == [
        (i, text, f"{float(score):.6f}") for i, text, score in shown
    ]


@pytest.mark.parametrize("statement", [s for block in fenced("sql") for s in block.split(";\n") if "'BM25'" in s])
def test_keyless_statements_run(sql: Sql, statement: str) -> None:
    """Every statement that needs no key gives rows."""
    assert sql.rows(statement.strip().rstrip(";"))


def test_the_configuration_shown_is_one(tmp_path: Path) -> None:
    """The TOML example is accepted as it stands, but for the paths of its secrets."""
    secret = tmp_path / "key"
    secret.write_text("key")
    secret.chmod(0o600)
    (example,) = fenced("toml")
    document = tomllib.loads(re.sub(r'"/run/secrets/\w+"', f'"{secret}"', example))
    settings = parse(document, {}, where="config.toml")
    assert sorted(settings.credentials) == ["aws", "local", "prod", "role"]
    assert settings.default_credential("cohere") is settings.credentials["prod"]


if __name__ == "__main__":
    README.write_text(with_blocks(README.read_text("utf-8")), "utf-8")

"""The pages say what the code does: their tables and samples are generated.

`make generate` writes what is generated anew; test_docs.py runs what the pages say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from clickhouse_rerank.commands import providers
from clickhouse_rerank.config.schema import Setting
from clickhouse_rerank.config.settings import reference
from clickhouse_rerank.errors import CODES
from clickhouse_rerank.providers import PROVIDERS
from error_samples import samples
from pages import ROOT, anchors, with_generated
from provider_sections import SECTIONS, own_keys
from url_cases import CASES

DOCS = ROOT / "docs"


def urls() -> str:
    """What a base_url becomes."""
    rows = "".join(f"| `{name}` | `'{given}'` | `{becomes}` |\n" for name, given, becomes in CASES)
    return "| provider | base_url | requests go to |\n|---|---|---|\n" + rows


def options() -> str:
    """The keys of `others` that only some providers take."""
    words = {record.name: own_keys(record) for record in PROVIDERS.values()}
    rows = "".join(f"| `{name}` | {text} |\n" for name, text in words.items() if text)
    return "| provider | keys |\n|---|---|\n" + rows


def catalogued() -> str:
    """The table of providers, each with a link to its section."""
    return re.sub(
        r"^\| `(\w+)` \|", lambda name: f"| [`{name[1]}`](#{name[1].lower()}) |", providers.markdown(), flags=re.M
    )


def codes() -> str:
    """The codes at a glance."""
    rows = "".join(f"| [`{code}`](#{code.lower()}) | {known.meaning} |\n" for code, known in CODES.items())
    return "| code | meaning |\n|---|---|\n" + rows


@cache
def explained() -> str:
    """A section for each code, with a sentence that was provoked a moment ago."""
    made = samples()
    return "\n".join(
        f"### {code}\n\n{known.meaning}\n\n```\n{made[code][0]}\n```\n\n"
        f"- Cause: {known.cause}\n- Fix: {known.remedy}\n- {made[code][1]}\n"
        for code, known in CODES.items()
    )


def configuration() -> str:
    """Every table and key of the configuration."""
    text, tables = "", dict.fromkeys(table for table, _, _ in reference())
    for table in tables:
        rows = "".join(
            f"| `{name}` | {_TYPES[key.check.type]} | {_default(key)} | {key.unit} | {key.meaning}. |\n"
            for place, name, key in reference()
            if place == table
        )
        text += f"### [{table}]\n\n| key | type | default | unit | meaning |\n|---|---|---|---|---|\n{rows}\n"
    return text.rstrip("\n") + "\n"


_TYPES: Mapping[type, str] = {
    str: "string", bool: "boolean", int: "integer", float: "number", dict: "table", tuple: "list of strings",
}  # fmt: skip


def _default(key: Setting) -> str:
    """As TOML has it; nothing where absence is the default."""
    if key.default is None or key.default == "":
        return "none"
    if isinstance(key.default, bool):
        return f"`{str(key.default).lower()}`"
    if isinstance(key.default, tuple):
        return "`[]`"
    assert isinstance(key.default, int | float)
    return f"`{key.default:g}`" if key.default < 100_000 else f"`{int(key.default)}`"


BLOCKS: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    DOCS / "providers.md": {
        "providers": catalogued,
        **{name: (lambda name=name: SECTIONS[name]) for name in SECTIONS},  # type: ignore[misc]
    },
    DOCS / "function.md": {"urls": urls, "options": options},
    DOCS / "errors.md": {"codes": codes, "errors": explained},
    DOCS / "configuration.md": {"configuration": configuration},
}
"""Page -> the parts between comments of that name."""


def with_blocks(page: Path) -> str:
    """A page's text with everything generated as it should be."""
    text = page.read_text("utf-8")
    for name, render in BLOCKS[page].items():
        text = with_generated(text, name, render())
    return text


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in BLOCKS])
def test_what_is_generated_is_current(page: Path) -> None:
    """Each table, query and sample is what the code would write today."""
    assert with_blocks(page) == page.read_text("utf-8"), "run: make generate"


def test_a_sample_of_every_code_was_provoked() -> None:
    """Each sentence begins with its code and says what to change, without the key that was used."""
    made = samples()
    assert set(made) == set(CODES)
    for code, (text, _) in made.items():
        assert text.startswith(f"Rerank: {code}: ") and text.endswith("."), text


def test_every_provider_has_a_section_with_notes() -> None:
    """A heading, the generated part, and words of a person who knows it."""
    text = (DOCS / "providers.md").read_text("utf-8")
    for name in SECTIONS:
        assert name.lower() in anchors(text)
        _, _, notes = text.partition(f"<!-- /{name} -->\n")
        assert notes.partition("\n#")[0].strip(), f"{name} has no notes"


if __name__ == "__main__":
    for file in BLOCKS:
        file.write_text(with_blocks(file), "utf-8")

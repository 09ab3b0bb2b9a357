"""docs/choosing.md compares every provider, by the default models of the records and the prices of the views."""

from __future__ import annotations

import re

import pytest

from clickhouse_rerank.providers import PROVIDERS
from clickhouse_rerank.providers.record import Provider
from pages import ROOT

TEXT = (ROOT / "docs" / "choosing.md").read_text("utf-8")
VIEWS = (ROOT / "sql" / "views" / "usage.sql").read_text("utf-8")
COLUMNS = ("provider", "texts go to", "model", "languages", "length", "price", "latency", "license", "source")


def rows() -> list[dict[str, str]]:
    """The rows of the comparison, by the names of its columns."""
    found = re.search(r"<!-- comparison -->\n(.*?)<!-- /comparison -->", TEXT, re.DOTALL)
    assert found is not None
    heading, _, *lines = found[1].splitlines()
    assert tuple(_cells(heading)) == COLUMNS
    return [dict(zip(COLUMNS, _cells(line), strict=True)) for line in lines]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def named(cell: str) -> list[str]:
    """What a cell has in code marks."""
    return re.findall(r"`([^`]+)`", cell)


def test_every_provider_is_compared_and_no_cell_is_empty() -> None:
    """No provider is left out, none is made up, and where nothing is known the cell says so."""
    assert {name for row in rows() for name in named(row["provider"])} == {record.name for record in PROVIDERS.values()}
    assert all(all(row.values()) for row in rows())


@pytest.mark.parametrize("record", [record for record in PROVIDERS.values() if record.model], ids=lambda one: one.name)
def test_the_first_row_of_a_provider_is_its_default_model(record: Provider) -> None:
    """A default that changes in the record changes here."""
    first = next(row for row in rows() if record.name in named(row["provider"]))
    assert first["model"] == f"`{record.model}`"


def test_every_source_that_is_named_exists_and_every_source_is_named() -> None:
    """The last column leads to the list below the table."""
    listed = set(re.findall(r"^(\d+)\. ", TEXT[TEXT.index("## Sources") :], re.MULTILINE))
    assert {number for row in rows() for number in re.findall(r"\d+", row["source"])} == listed


def test_prices_are_those_that_the_views_seed() -> None:
    """A price is written in two places and is one."""
    seeded = {
        (provider, model): (float(unit), float(tokens))
        for provider, model, unit, tokens in re.findall(
            r"^    \('(\w+)', '([^']+)', '[\d-]+', ([\d.]+), ([\d.]+), 0\)", VIEWS, re.MULTILINE
        )
    }
    compared = 0
    for row in rows():
        for provider in named(row["provider"]):
            unit, tokens = seeded.get((provider, row["model"].strip("`")), (0.0, 0.0))
            if unit or tokens:
                compared += 1
                million = f"${tokens:.2f}" if round(tokens, 2) == tokens else f"${tokens:g}"
                assert row["price"] == (f"${unit * 1000:.2f} / 1,000" if unit else f"{million} / 1M")
    assert compared >= 3
    default = PROVIDERS["cohere"].model
    assert ("Cohere", default) in seeded, "the default has no price"

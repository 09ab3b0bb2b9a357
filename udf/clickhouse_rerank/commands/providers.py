"""`clickhouse-rerank providers`: the providers as a table, which docs/ shows too."""

import argparse
from collections.abc import Iterator, Sequence

from ..providers import PROVIDERS, Provider
from .console import Console

_WORDS = ("required", "none")
COLUMNS = ("provider", "default base_url", "default model", "key", "limits of a request", "scoring", "scores")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the table."""
    console.stdout.write(markdown() if arguments.format == "markdown" else text())
    return 0


def rows() -> Iterator[tuple[str, ...]]:
    """One tuple per provider, in the order of COLUMNS."""
    for record in PROVIDERS.values():
        scoring = "listwise" if record.is_listwise(record.model) else "pointwise"
        yield (record.name, _url(record), _model(record), _key(record), _limits(record), scoring, record.scores)


def text() -> str:
    """The table in columns."""
    table = [COLUMNS, *rows()]
    widths = [max(len(row[at]) for row in table) for at in range(len(COLUMNS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
    return "\n".join(lines) + "\n"


def markdown() -> str:
    """The table in Markdown, with names, URLs and models as code."""
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
    for name, url, model, *rest in rows():
        coded = [cell if cell in _WORDS or " " in cell else f"`{cell}`" for cell in (url, model)]
        lines.append(_line((f"`{name}`", *coded, *rest)))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _url(record: Provider) -> str:
    if record.aws is not None:
        named = "{name}" in record.aws.path
        return "required: the endpoint's name" if named else "by others.region_name"
    if record.key == "none":
        return "none: scores in the worker"
    return record.url or "required"


def _model(record: Provider) -> str:
    if record.model:
        return record.model
    return "required" if record.needs_model else "the server's" if record.key != "none" else "none"


def _key(record: Provider) -> str:
    if record.aws is not None:
        return "AWS secret access key"
    if record.key == "none":
        return "none"
    how = record.key_format.format("").strip() or record.key_header
    return how if record.key == "required" else f"{how}, optional"


def _limits(record: Provider) -> str:
    limits = record.limits
    parts = (
        limits.documents and f"{limits.documents:,} documents",
        limits.body_bytes and f"{limits.body_bytes:,} bytes",
        limits.pair_bytes and f"{limits.pair_bytes:,} bytes of pairs",
        limits.tokens and f"{limits.tokens:,} tokens",
        limits.text_chars and f"{limits.text_chars:,} characters a text",
        limits.query_chars and f"{limits.query_chars:,} characters a query",
    )
    return ", ".join(part for part in parts if part) or "none stated"

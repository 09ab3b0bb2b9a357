"""What an evaluation will cost: a dry run of each ranker's open questions, and the user's consent."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

from .. import queries
from ..console import Console
from ..embedded_engine import Engine
from .problem import EvaluationError
from .questions import TABLE
from .rankers import Ranker

_AT_ONCE = 500
_SQL = (
    "SELECT Rerank(question, documents, toUInt32(length(documents)), {arguments}).2 "
    "FROM {table} WHERE number IN ({numbers})"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one ranker's open questions take, as an estimate."""

    name: str
    questions: int
    requests: int = 0
    tokens: int = 0
    cost: float | None = 0.0
    """None where no price is known."""


def plan(engine: Engine, ranker: Ranker, numbers: Sequence[int]) -> Plan:
    """Send nothing. Errors: QueryError, so that a ranker that cannot work is known before anything is spent."""
    found = []
    arguments = ranker.arguments(dry_run=True)
    for start in range(0, len(numbers) if ranker.provider else 0, _AT_ONCE):
        some = ", ".join(map(str, numbers[start : start + _AT_ONCE]))
        texts = queries.rows(engine, _SQL.format(table=TABLE, arguments=arguments, numbers=some))
        found += [json.loads(text) for (row,) in texts for text in row]
    costs = [one["cost"] for one in found]
    return Plan(
        ranker.name,
        len(numbers),
        sum(one["requests"] for one in found),
        sum(one["tokens"] for one in found),
        None if "unknown" in costs else sum(costs),
    )


def consent(plans: Iterable[Plan], most: float, console: Console) -> None:
    """Print the plans, and ask on a terminal if they cost more than `most`. Errors: EvaluationError."""
    plans = list(plans)
    _print(plans, console.stderr)
    known = sum(one.cost or 0.0 for one in plans)
    if known <= most:
        return
    if not (console.stdin.isatty() and console.stderr.isatty()):
        raise EvaluationError(f"That is more than --max-cost {most:g}. Nothing was sent. Raise --max-cost to allow it.")
    console.stderr.write(f"That is more than --max-cost {most:g}. Go on? [y/N] ")
    console.stderr.flush()
    if console.stdin.readline().strip().lower() not in ("y", "yes"):
        raise EvaluationError("Nothing was sent.")


def _print(plans: Sequence[Plan], stream: TextIO) -> None:
    if not any(one.requests for one in plans):
        return
    for one in plans:
        if one.requests:
            cost = "at an unknown price" if one.cost is None else f"for about {_money(one.cost)}"
            stream.write(
                f"{one.name}: {one.questions:,} questions, {one.requests:,} requests, "
                f"about {one.tokens:,} tokens {cost}.\n"
            )
    unknown = " and what has no price in [usage.prices]" if any(one.cost is None for one in plans) else ""
    stream.write(f"In all about {_money(sum(one.cost or 0.0 for one in plans))}{unknown}.\n")


def _money(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.2g}"

"""What the calls of a dry run would cost: the usage log of its workers, added up by provider and model."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ..config.prices import Price
from ..config.settings import load
from ..worker import USAGE_LOG
from .embedded_engine import Engine

_SUMS = ("documents", "cached", "requests", "tokens", "search_units")
_NUMBERS = ("calls", *_SUMS)
_STRUCTURE = f"provider String, model String, {' UInt64, '.join(_NUMBERS)} UInt64, cost Nullable(Float64)"


def costs(log: Path, prices: Mapping[tuple[str, str], Price]) -> list[dict[str, object]]:
    """A row for each provider and model of the log, with the members of _STRUCTURE; no price, no cost: None."""
    sums: dict[tuple[str, str], Counter[str]] = {}
    for text in log.read_bytes().splitlines() if log.exists() else ():
        line = json.loads(text)
        found = sums.setdefault((line["provider"], line["model"]), Counter(calls=0))
        found["calls"] += line["documents"] > 0  # else it is a request that rows share, or adds rows to a line
        for name in _SUMS:
            found[name] += line[name]
    rows: list[dict[str, object]] = []
    for (provider, model), found in sorted(sums.items()):
        price = prices.get((provider, model), None if found["requests"] else Price())
        cost = price and round(price.of(found["search_units"], found["tokens"], found["requests"]), 9)
        numbers = {name: round(found[name]) for name in _NUMBERS}
        rows.append({"provider": provider, "model": model, **numbers, "cost": cost})
    return rows


def table(engine: Engine, environment: Mapping[str, str], format_name: str) -> bytes:
    """What the dry run of this engine would have cost, in a format of ClickHouse. Errors: QueryError, CONFIG."""
    found = costs(engine.usage / USAGE_LOG, load(environment, embedded=True).prices)
    lines = " ".join(map(json.dumps, found)).replace("\\", "\\\\")  # a parameter is in escaped form
    return engine.query(
        "SELECT * FROM format(JSONEachRow, {structure:String}, {lines:String})",
        format_name,
        {"structure": _STRUCTURE, "lines": lines},
    )

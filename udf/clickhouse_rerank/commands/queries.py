"""Statements of a command on the embedded engine, run so that a signal can end the command meanwhile."""

import json
from typing import Any

from . import interruption
from .embedded_engine import Engine


def run(engine: Engine, sql: str, format_name: str = "TabSeparated") -> bytes:
    """The formatted result of a statement, or of several. Errors: QueryError."""
    return interruption.in_thread(lambda: engine.query(sql, format_name)).result()


def rows(engine: Engine, sql: str) -> list[list[Any]]:
    """The rows of a result, each as a list; NaN is None. Errors: QueryError."""
    return [json.loads(line) for line in run(engine, sql, "JSONCompactEachRow").splitlines()]


def literal(text: str) -> str:
    """The text as a string literal of SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

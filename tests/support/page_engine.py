"""One embedded engine for one page: a list of SQL statements comes as JSON on stdin, their results go to stdout.

A process of its own, because a process has one engine, and each page begins with an empty one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from clickhouse_rerank.commands.embedded_engine import Engine, QueryError


def run(statements: Sequence[str], environment: Mapping[str, str]) -> list[tuple[bool, str]]:
    """(whether it succeeded, its output as a client prints it or its error) of each statement, in order."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(list(statements)),
        env=dict(environment),
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(good, text) for good, text in json.loads(done.stdout)]


def _outcome(engine: Engine, statement: str) -> tuple[bool, str]:
    try:
        return True, engine.query(statement, "PrettyCompact").decode()
    except QueryError as error:
        return False, f"{error}\n"


if __name__ == "__main__":
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with Engine() as session:
        json.dump([_outcome(session, statement) for statement in json.load(sys.stdin)], output)
        output.flush()

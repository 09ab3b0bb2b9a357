"""Statements on an embedded engine in a process of its own, for a process has one engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import worker_environment

_ENGINE = """
import sys
from clickhouse_rerank.commands.embedded_engine import Engine
with Engine() as engine:
    for statement in sys.argv[2:]:
        sys.stdout.write(engine.query(statement, sys.argv[1]).decode())
"""


def printed(
    *statements: str,
    format_name: str = "TabSeparated",
    folder: Path | None = None,
    timeout_s: float = 100,
    **environment: str,
) -> str:
    """What they print; all must succeed. `folder` is the process's own, `environment` its workers' variables."""
    done = subprocess.run(
        [sys.executable, "-c", _ENGINE, format_name, *statements],
        check=False,
        env=worker_environment(**environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout

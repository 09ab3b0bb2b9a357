"""An embedded engine of its own, configured as a server is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from asking import DOCUMENTS, QUERY
from clickhouse_rerank.commands.install import artifacts
from conftest import worker_environment

ENGINE = """
import json, sys
from chdb.session import Session
session = Session(f"{sys.argv[1]}/data?udf_path={sys.argv[1]}/udf")
for line in sys.stdin:
    try:
        print(json.dumps(str(session.query(json.loads(line)))))
    except RuntimeError as error:
        print(json.dumps(str(error)))
session.close()
"""


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def asks(provider: str, base_url: str, key: str, others: str = "") -> str:
    """The SQL of a call."""
    return (
        f"SELECT Rerank('{QUERY}', ['{DOCUMENTS[0]}'], 1, {', '.join(map(quoted, (provider, base_url, key, others)))})"
    )


def answers(folder: Path, config: str, queries: list[str]) -> list[str]:
    """What an engine of its own, configured as a server is, says to each query."""
    for file in artifacts.plan(folder / "udf", folder / "udf"):
        artifacts.write(file)
    path = folder / "config.toml"
    path.write_text(config)
    path.chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-I", "-c", ENGINE, str(folder)],
        input="".join(json.dumps(query) + "\n" for query in queries),
        env=worker_environment(CLICKHOUSE_RERANK_CONFIG=str(path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]

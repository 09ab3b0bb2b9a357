"""Draws docs/evaluation.png, the report of `evaluate --demo`, in Chromium: run it after a change of the report."""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

import browser
from conftest import ROOT, worker_environment

PICTURE = ROOT / "docs" / "evaluation.png"
_WIDTH, _HEIGHT = 1400, 1180


def main() -> None:
    """Evaluate with an empty home, and take the top of the report."""
    with tempfile.TemporaryDirectory() as home:
        report = Path(home, "report.html")
        command = [
            sys.executable,
            "-m",
            "clickhouse_rerank.commands.cli",
            "evaluate",
            "--demo",
            "--report",
            str(report),
        ]
        subprocess.run(command, env=worker_environment(HOME=home, XDG_CACHE_HOME=home), check=True)
        with browser.tab(Path(home, "profile")) as tab:
            tab.open(report, _WIDTH, _HEIGHT)
            PICTURE.write_bytes(base64.b64decode(tab.call("Page.captureScreenshot", format="png")["data"]))


if __name__ == "__main__":
    main()

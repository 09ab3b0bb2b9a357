"""Where the peers live: a folder outside the repository with one virtual environment each, and the tiny model.

`requirements/NAME.txt` pins everything in an environment but torch; a changed file means a new installation.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(os.environ.get("PEERS_DIR") or Path.home() / ".cache" / "clickhouse-rerank-peers").absolute()
_HERE = Path(__file__).parent
_TORCH = "torch==2.13.0"  # installed alone and first; any CPU build will do
_INSTALL_S = 1800


class SkippedError(Exception):
    """A peer that cannot run on this machine, and why."""


def environment(name: str, torch: bool = False) -> Path:
    """The folder with the programs of a peer's environment, installed on first use."""
    requirements = _HERE / "requirements" / f"{name}.txt"
    home, stamp = FOLDER / name, _digest(requirements)
    if _read(home / ".installed") != stamp:
        print(f"{name}: installing into {home}", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        _run(name, sys.executable, "-m", "venv", str(home))
        pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        if torch:
            _run(name, *pip, _TORCH)
        _run(name, *pip, "--no-deps", "-r", str(requirements))
        (home / ".installed").write_text(stamp)
    return home / "bin"


def tiny_model(programs: Path) -> Path:
    """The folder of the tiny cross-encoder, built with an environment that has torch and transformers."""
    script, folder = _HERE / "tiny_model.py", FOLDER / "model"
    if _read(folder / ".built") != _digest(script):
        _run("tiny model", str(programs / "python"), str(script), str(folder))
        (folder / ".built").write_text(_digest(script))
    return folder


def _run(name: str, *command: str) -> None:
    log = FOLDER / "logs" / f"install-{name.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            code = subprocess.run(command, stdout=output, stderr=output, timeout=_INSTALL_S, check=False).returncode
        except subprocess.TimeoutExpired:
            code = -1
    if code:
        lines = log.read_text("utf-8", "replace").strip().splitlines()
        raise SkippedError(f"not installed: {lines[-1][:200] if lines else 'no output'} (log: {log})")


def _read(file: Path) -> str:
    return file.read_text() if file.is_file() else ""


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes() + _TORCH.encode() + sys.version.encode()).hexdigest()

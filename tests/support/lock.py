"""What the project declares as dependencies, and what its lock files pin."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from conftest import ROOT

LOCK = ROOT / "requirements" / "dev.txt"


def version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text.split(",", maxsplit=1)[0]))


def extras() -> dict[str, list[str]]:
    """Name of each extra -> its requirements; `all`, which is the sum of the others, is left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {name: lines for name, lines in project["optional-dependencies"].items() if name != "all"}


def declared(kind: str) -> dict[str, str]:
    """Name -> version range of the dependencies of a kind: "run", "dev", "docs", or the name of an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lines = {"run": project["project"]["dependencies"], **project["dependency-groups"], **extras()}[kind]
    return {re.split(r"[<>=]", line)[0]: re.sub(r"^[a-z0-9-]+", "", line) for line in lines}


def pinned(lock: Path = LOCK) -> dict[str, str]:
    """Name -> lowest version in the lock file, which may have several for several Pythons."""
    found: dict[str, str] = {}
    for name, pin in re.findall(r"(?m)^([a-z0-9-]+)==([^ ;\\]+)", lock.read_text("utf-8")):
        found[name] = min(found.get(name, pin), pin, key=version)
    return found

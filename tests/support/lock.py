"""What the lock file of the development environment pins."""

from __future__ import annotations

import re
from pathlib import Path

from conftest import ROOT

LOCK = ROOT / "requirements" / "dev.txt"


def version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text.split(",", maxsplit=1)[0]))


def pinned(lock: Path = LOCK) -> dict[str, str]:
    """Name -> lowest version in the lock file, which may have several for several Pythons."""
    found: dict[str, str] = {}
    for name, pin in re.findall(r"(?m)^([a-z0-9-]+)==([^ ;\\]+)", lock.read_text("utf-8")):
        found[name] = min(found.get(name, pin), pin, key=version)
    return found

"""Puts the launcher and the registration where a ClickHouse server, or chDB, looks for them."""

import os
import re
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

LAUNCHER = "rerank"
REGISTRATION = "rerank_function.xml"
_MAX_SHEBANG = 120  # Linux cuts a #! line at 127 or 255 bytes


class File(NamedTuple):
    """A file to install."""

    path: Path
    text: str
    mode: int


def source(name: str) -> str:
    """A file of `udf/`: beside the package in a checkout, inside it in a wheel."""
    package: Traversable = files(__package__)
    shipped = package / "share" / name
    return (shipped if shipped.is_file() else Path(str(package)).parent / name).read_text("utf-8")


def launcher() -> str:
    """The launcher, bound to this interpreter and so to the environment that has the package."""
    _, _, body = source(LAUNCHER).partition("\n")
    if len(os.fsencode(sys.executable)) > _MAX_SHEBANG or re.search(r"\s", sys.executable):
        # A shell reads it as exec, Python as a string.
        return f"#!/bin/sh\n'''exec' \"{sys.executable}\" -I \"$0\" \"$@\"\n' '''\n{body}"
    return f"#!{sys.executable} -I\n{body}"


def registration(format_name: str, arguments: tuple[str, ...] = ()) -> str:
    """The registration for a format; `arguments` go to the worker."""
    words = (LAUNCHER, *arguments) if format_name == "JSONEachRow" else (LAUNCHER, "--format", format_name, *arguments)
    text = source(REGISTRATION).replace("<format>JSONEachRow</format>", f"<format>{format_name}</format>")
    return text.replace(f"<command>{LAUNCHER}</command>", f"<command>{' '.join(words)}</command>")


def plan(
    user_scripts: Path, config_dir: Path, format_name: str = "JSONEachRow", arguments: tuple[str, ...] = ()
) -> list[File]:
    """The files of an installation."""
    return [
        File(user_scripts / LAUNCHER, launcher(), 0o755),
        File(config_dir / REGISTRATION, registration(format_name, arguments), 0o644),
    ]


def write(file: File) -> None:
    """Put a file in place at once: readers see the old one or the new one, never half of one."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.path.with_name(f".{file.path.name}.new")
    scratch.write_text(file.text, "utf-8")
    scratch.chmod(file.mode)
    scratch.replace(file.path)

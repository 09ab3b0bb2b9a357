"""The files of an installation: the content of what ClickHouse, or chDB, looks for."""

import os
import re
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from ..atomic_file import write_atomically

PACKAGE = "clickhouse_rerank"
LAUNCHER = "rerank"
REGISTRATION = "rerank_function.xml"
CONFIGURATION = "config.toml"
FORMAT, POOL_SIZE = "JSONEachRow", 16
"""The row format and the number of processes of a registration by default."""
_MAX_SHEBANG = 120  # Linux cuts a #! line at 127 or 255 bytes


class File(NamedTuple):
    """A file to install; `group` is a gid, None for the group of the user who installs."""

    path: Path
    text: str
    mode: int
    group: int | None = None


def source(name: str) -> str:
    """The text of a file of `udf/`: beside the package in a checkout, inside it in a wheel."""
    package: Traversable = files(PACKAGE)
    shipped = package / "share" / name
    return (shipped if shipped.is_file() else Path(str(package)).parent / name).read_text("utf-8")


def launcher() -> str:
    """The launcher's text, with this interpreter and so this environment in its first line."""
    _, _, body = source(LAUNCHER).partition("\n")
    if len(os.fsencode(sys.executable)) > _MAX_SHEBANG or re.search(r"\s", sys.executable):
        # A shell reads it as exec, Python as a string.
        return f"#!/bin/sh\n'''exec' \"{sys.executable}\" -I \"$0\" \"$@\"\n' '''\n{body}"
    return f"#!{sys.executable} -I\n{body}"


def interpreter(launcher_text: str) -> str:
    """The interpreter that a launcher's first line names; "" if it names none."""
    found = re.match(r"#!(\S+) -I\n|#!/bin/sh\n'''exec' \"([^\"\n]+)\"", launcher_text)
    return (found[1] or found[2]) if found else ""


def registration(format_name: str, arguments: tuple[str, ...] = (), pool_size: int = POOL_SIZE) -> str:
    """The registration's text; `arguments` are further arguments of the worker's command."""
    words = (LAUNCHER, *arguments) if format_name == FORMAT else (LAUNCHER, "--format", format_name, *arguments)
    text = source(REGISTRATION).replace(f"<format>{FORMAT}</format>", f"<format>{format_name}</format>")
    text = text.replace(f"<pool_size>{POOL_SIZE}</pool_size>", f"<pool_size>{pool_size}</pool_size>")
    return text.replace(f"<command>{LAUNCHER}</command>", f"<command>{' '.join(words)}</command>")


def configuration() -> str:
    """The configuration file that `install` writes: every setting with its default, all in comments."""
    return source(CONFIGURATION)


def plan(
    user_scripts: Path,
    config_dir: Path,
    format_name: str = FORMAT,
    arguments: tuple[str, ...] = (),
    pool_size: int = POOL_SIZE,
) -> list[File]:
    """The launcher and the registration, the two files that the function needs."""
    return [
        File(user_scripts / LAUNCHER, launcher(), 0o755),
        File(config_dir / REGISTRATION, registration(format_name, arguments, pool_size), 0o644),
    ]


def write(file: File) -> None:
    """Put a file in place at once, owned by the user who runs this; make its folder if needed. Errors: OSError."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file.path, file.text.encode(), file.mode, file.group)

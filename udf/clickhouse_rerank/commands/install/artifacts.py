"""The files of an installation: what ClickHouse, or chDB, looks for, and how a file is put in place."""

import contextlib
import os
import re
import sys
import tempfile
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

PACKAGE = "clickhouse_rerank"
LAUNCHER = "rerank"
REGISTRATION = "rerank_function.xml"
CONFIGURATION = "config.toml"
FORMAT, POOL_SIZE = "JSONEachRow", 16
"""What the registration has unless told otherwise."""
_MAX_SHEBANG = 120  # Linux cuts a #! line at 127 or 255 bytes


class File(NamedTuple):
    """A file to install; `group` is a gid, None for that of who installs."""

    path: Path
    text: str
    mode: int
    group: int | None = None


def source(name: str) -> str:
    """A file of `udf/`: beside the package in a checkout, inside it in a wheel."""
    package: Traversable = files(PACKAGE)
    shipped = package / "share" / name
    return (shipped if shipped.is_file() else Path(str(package)).parent / name).read_text("utf-8")


def launcher() -> str:
    """The launcher, bound to this interpreter and so to the environment that has the package."""
    _, _, body = source(LAUNCHER).partition("\n")
    if len(os.fsencode(sys.executable)) > _MAX_SHEBANG or re.search(r"\s", sys.executable):
        # A shell reads it as exec, Python as a string.
        return f"#!/bin/sh\n'''exec' \"{sys.executable}\" -I \"$0\" \"$@\"\n' '''\n{body}"
    return f"#!{sys.executable} -I\n{body}"


def interpreter(launcher_text: str) -> str:
    """The interpreter that a launcher is bound to; "" where its text names none."""
    found = re.match(r"#!(\S+) -I\n|#!/bin/sh\n'''exec' \"([^\"\n]+)\"", launcher_text)
    return (found[1] or found[2]) if found else ""


def registration(format_name: str, arguments: tuple[str, ...] = (), pool_size: int = POOL_SIZE) -> str:
    """The registration for a format; `arguments` go to the worker."""
    words = (LAUNCHER, *arguments) if format_name == FORMAT else (LAUNCHER, "--format", format_name, *arguments)
    text = source(REGISTRATION).replace(f"<format>{FORMAT}</format>", f"<format>{format_name}</format>")
    text = text.replace(f"<pool_size>{POOL_SIZE}</pool_size>", f"<pool_size>{pool_size}</pool_size>")
    return text.replace(f"<command>{LAUNCHER}</command>", f"<command>{' '.join(words)}</command>")


def configuration() -> str:
    """The configuration with every setting named and none made."""
    return source(CONFIGURATION)


def plan(
    user_scripts: Path,
    config_dir: Path,
    format_name: str = FORMAT,
    arguments: tuple[str, ...] = (),
    pool_size: int = POOL_SIZE,
) -> list[File]:
    """The two files without which there is no function."""
    return [
        File(user_scripts / LAUNCHER, launcher(), 0o755),
        File(config_dir / REGISTRATION, registration(format_name, arguments, pool_size), 0o644),
    ]


def write(file: File) -> None:
    """Put a file in place at once, owned by who runs this: readers see the old one or the new one, also after a crash.

    Written under a name that nobody can foresee, for the folder may belong to the server's user and this run as root.
    """
    file.path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(prefix=f".{file.path.name}.", dir=file.path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as new:
            new.write(file.text)
            new.flush()
            if file.group is not None:
                os.fchown(descriptor, -1, file.group)
            os.fchmod(descriptor, file.mode)
            os.fsync(descriptor)
        Path(scratch).replace(file.path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(scratch).unlink()
        raise
    sync(file.path.parent)


def sync(folder: Path) -> None:
    """Names that were given or taken in a folder stay so after a crash."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""What a worker may write to disk: the [cache], [usage] and [log] tables of the configuration."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from .credentials import wrong
from .schema import declared


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """For how long scores are kept, and where."""

    memory_s: float = declared(10.0, "For how long a process remembers its calls; 0: it does not", "seconds")
    path: str = declared("", "The file that all processes of the server keep scores in, in place of their memories")
    ttl_s: float = declared(86_400.0, "For how long scores in the file hold", "seconds")
    max_bytes: int = declared(256 << 20, "Size of the file at which the oldest scores leave it", "bytes")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where the worker says what concerns the operator and no query."""

    path: str = declared("", "A file that lines are appended to")


@dataclass(frozen=True, slots=True)
class UsageSettings:
    """Where the worker writes down what its calls cost and how they went."""

    path: str = declared("", "The file that all processes append a line for each call to")
    max_bytes: int = declared(
        64 << 20, "Size at which the file gets another name and a new one begins; 0: never", "bytes"
    )
    kept: int = declared(8, "Files of other names that are kept; the oldest are deleted", "files")


_Table = TypeVar("_Table", CacheSettings, LogSettings, UsageSettings)


def parse(kind: type[_Table], table: Mapping[str, object], where: str) -> _Table:
    """One of the tables -> its record; errors: CONFIG."""
    defaults = {f.name: f.default for f in fields(kind)}
    for key, value in table.items():
        if key not in defaults:
            raise wrong(where, f"has the unknown key {key}. Known: {', '.join(defaults)}.")
        wanted = type(defaults[key])
        if wanted is str:
            if not isinstance(value, str) or not Path(value).is_absolute() or "\0" in value:
                raise wrong(where, f"{key} must be the absolute path of a file.")
        elif type(value) not in (int, wanted) or not 0 <= value < math.inf:  # type: ignore[operator]
            raise wrong(where, f"{key} must be {'an integer' if wanted is int else 'a number'}, 0 or more.")
    return kind(**table)  # type: ignore[arg-type]


def log(to: LogSettings) -> None:
    """From now on, append what this package logs to the file, if there is one; errors: CONFIG."""
    if not to.path:
        return
    try:
        handler = logging.FileHandler(to.path)
    except OSError as error:
        raise wrong("[log]", f"path {to.path} cannot be written ({error.strerror}). Correct it or its mode.") from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    logging.getLogger("clickhouse_rerank").addHandler(handler)

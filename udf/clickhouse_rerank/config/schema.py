"""How a setting of the configuration file is declared and checked: type, default, unit, and its meaning to an operator.

A table of the file is a dataclass whose fields are declared with `setting`. `parse` reads a table by the declarations;
the pages and templates that explain the file take their words from them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..errors import CallerError
from ..types import did_you_mean

_Table = TypeVar("_Table")


class Check(NamedTuple):
    """Which values of the file a setting accepts."""

    type: type
    """str, bool, int, float, dict or tuple (a list of strings), for the documentation."""
    must_be: str
    """The end of the sentence "KEY must be ..."."""
    accepts: Callable[[object], bool]


def _is_absolute(value: object) -> bool:
    return isinstance(value, str) and Path(value).is_absolute() and "\0" not in value


def _is_positive(value: object, *types: type) -> bool:
    return isinstance(value, int | float) and type(value) in types and 0 < value < math.inf


def _is_not_negative(value: object, *types: type) -> bool:
    return isinstance(value, int | float) and type(value) in types and 0 <= value < math.inf


TEXT = Check(str, "a string", lambda value: isinstance(value, str))
FLAG = Check(bool, "true or false", lambda value: isinstance(value, bool))
TABLE = Check(dict, "a table", lambda value: isinstance(value, dict))
FILE = Check(str, "the absolute path of a file", _is_absolute)
FOLDER = Check(str, "the absolute path of a folder", _is_absolute)
POSITIVE_INTEGER = Check(int, "a positive integer", lambda value: _is_positive(value, int))
POSITIVE_NUMBER = Check(float, "a positive number", lambda value: _is_positive(value, int, float))
INTEGER = Check(int, "an integer, 0 or more", lambda value: _is_not_negative(value, int))
NUMBER = Check(float, "a number, 0 or more", lambda value: _is_not_negative(value, int, float))
HOSTS = Check(
    tuple,
    "a list of host names",
    lambda value: isinstance(value, list) and all(isinstance(host, str) for host in value),
)


class Setting(NamedTuple):
    """One key of a table."""

    check: Check
    meaning: str
    """One sentence without its full stop."""
    unit: str = ""
    default: object = None
    """None: without the key, nothing is set."""


def setting(default: object, check: Check, meaning: str, unit: str = "") -> Any:
    """A field of a table's dataclass, with the default that the file may change."""
    return field(default=default, metadata={"setting": Setting(check, meaning, unit, default)})


def settings_of(table: type) -> dict[str, Setting]:
    """The settings of a table's dataclass by key; a field that no file sets is left out."""
    return {f.name: f.metadata["setting"] for f in fields(table) if "setting" in f.metadata}


def parse(table: type[_Table], value: object, where: str) -> _Table:
    """The table that stands at `where` in the file, as an instance of its dataclass; errors: CONFIG."""
    known = settings_of(table)
    read: dict[str, object] = {}
    for key, given in as_table(value, where).items():
        if key not in known:
            suggestion = did_you_mean(key, known)
            raise wrong(where, f"has the unknown key {key}.{suggestion} Known: {', '.join(known)}.")
        if not known[key].check.accepts(given):
            raise wrong(where, f"{key} must be {known[key].check.must_be}.")
        read[key] = tuple(given) if isinstance(given, list) else given
    make: Callable[..., _Table] = table
    return make(**read)


def as_table(value: object, where: str) -> Mapping[str, object]:
    """A value of the file that must be a table; errors: CONFIG."""
    if not isinstance(value, dict):
        raise wrong(where, "must be a table.")
    return value


def wrong(where: str, what: str) -> CallerError:
    """The error of a mistake in the configuration; `where` and `what` are one sentence."""
    return CallerError("CONFIG", f"{where} {what}")

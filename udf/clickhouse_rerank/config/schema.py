"""How a key of the configuration file is declared: type, default, unit, and what it means to an operator.

The loader checks by these, and whoever explains the file, in a page or in a template, takes its words from here.
"""

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table."""

    type: type
    """str, bool, int, float, dict or tuple, which is a list of strings."""
    meaning: str
    """One sentence without its full stop."""
    unit: str = ""
    default: object = None
    """None: absent means nothing is set."""


def declared(default: object, meaning: str, unit: str = "") -> Any:
    """A field of a table's record, with the default that the file may change."""
    return field(default=default, metadata={"key": Key(type(default), meaning, unit, default)})


def keys(record: type) -> dict[str, Key]:
    """The keys of a table by name; fields that no file sets are none."""
    return {f.name: f.metadata["key"] for f in fields(record) if "key" in f.metadata}

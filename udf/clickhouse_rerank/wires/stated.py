"""Reads what an answer says that it counts for; tolerant of everything, because scores do not depend on it."""

from collections.abc import Mapping

_MOST = 1e15


def first(payload: object, *paths: str) -> float:
    """The first number, 0 or more, at one of the paths, whose members are joined by dots; 0 when there is none."""
    for path in paths:
        value = payload
        for member in path.split("."):
            value = value.get(member) if isinstance(value, Mapping) else None
        if isinstance(value, int | float) and type(value) is not bool and 0 < value < _MOST:
            return value
    return 0

"""Reads the usage that an answer states. Tolerates everything, because scores do not depend on it."""

_MAX_UNITS = 1e15


def first_positive(payload: object, *paths: tuple[str, ...]) -> float:
    """The first number above 0 at one of the paths, each a sequence of members; 0 where there is none."""
    for path in paths:
        value = payload
        for member in path:
            if not isinstance(value, dict):
                break
            value = value.get(member)
        else:
            if isinstance(value, int | float) and type(value) is not bool and 0 < value < _MAX_UNITS:
                return value
    return 0

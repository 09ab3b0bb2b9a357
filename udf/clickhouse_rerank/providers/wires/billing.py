"""Reads what an answer says that it counts for; tolerant of everything, because scores do not depend on it."""

_MOST = 1e15


def first(payload: object, *paths: tuple[str, ...]) -> float:
    """The first number above 0 at one of the paths, from member to member; 0 when there is none."""
    for path in paths:
        value = payload
        for member in path:
            if not isinstance(value, dict):
                break
            value = value.get(member)
        else:
            if isinstance(value, int | float) and type(value) is not bool and 0 < value < _MOST:
                return value
    return 0

"""Reads the list of scored items that most rerank APIs answer with; tolerant of shape, strict about meaning.

Tolerated: any order, extra members, an echoed document of any type (never used), null for an empty list.
Refused: an index that is missing, out of range, repeated or no integer; a score that is no finite number; too few
items.
"""

import math

from ...types import Scores

_LISTS = ("results", "data", "rankings", "rerank")
_SCORES = ("relevance_score", "score", "logit", "relevanceScore")
_FLOAT32_MAX = 3.4028234663852886e38


class MalformedError(ValueError):
    """An answer that cannot be trusted.

    The text completes the sentence "The answer of PROVIDER ..."; `remedy` is a sentence that says what to change.
    """

    def __init__(self, text: str, remedy: str = "Check that base_url is a rerank endpoint.") -> None:
        super().__init__(text)
        self.remedy = remedy


def finite_score(value: object) -> float:
    """A score as a number that a Float32 can hold; errors: MalformedError, also for booleans and numeric strings."""
    if type(value) not in (int, float):
        raise MalformedError("has a score that is no number")
    score = float(value)  # type: ignore[arg-type]
    if not math.isfinite(score) or abs(score) > _FLOAT32_MAX:
        raise MalformedError("has a score that is not finite")
    return score + 0.0  # -0.0 becomes 0.0


def read_scores(payload: object, documents: int, expected: int) -> Scores:
    """The items of a parsed answer -> scores; errors: MalformedError.

    `documents`: number of documents in the request. `expected`: least number of items that must come back.
    """
    items = _items(payload)
    scores: dict[int, float] = {}
    for item in items:
        if not isinstance(item, dict):
            raise MalformedError("has an item that is no object")
        index = item.get("index")
        if type(index) is not int or not 0 <= index < documents:
            index = _index(index, documents)
        if index in scores:
            raise MalformedError(f"has the index {index} twice")
        for key in _SCORES:
            if key in item:
                score = item[key]
                break
        else:
            raise MalformedError("has an item without a score")
        # A call for each item would cost as much as the rest: most scores are floats that a Float32 can hold.
        is_usual = type(score) is float and -_FLOAT32_MAX <= score <= _FLOAT32_MAX
        scores[index] = score + 0.0 if is_usual else finite_score(score)
    if len(scores) < expected:
        raise MalformedError(f"has {len(scores)} scores where {expected} were asked for")
    return list(scores.items())


def integer_of_digits(value: object) -> object:
    """A string of digits as an integer, anything else as it is. For APIs whose ids are strings."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else value


def _items(payload: object) -> list[object]:
    if isinstance(payload, list):
        return payload
    if isinstance(payload, dict):
        places = payload, payload.get("output")
        found = [place[key] for place in places if isinstance(place, dict) for key in _LISTS if key in place]
        for items in found:
            if isinstance(items, list):
                return items
        if found and all(items is None for items in found):
            return []
    raise MalformedError("has no list of results")


def _index(value: object, documents: int) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise MalformedError("has an item whose index is no integer")
    if not 0 <= value < documents:
        raise MalformedError(f"has the index {value}, but {documents} documents were sent")
    return value

"""One file per body shape; each has two pure functions, `body(call)` and `scores(payload, call)`."""

from typing import Protocol

from ..model import Call, Scores
from . import cohere, pairs, tei
from .scored_items import MalformedError

__all__ = ["WIRES", "MalformedError", "Wire"]


class Wire(Protocol):
    """What a module in this folder offers: a call -> the JSON body; a parsed answer and its call -> scores."""

    def body(self, call: Call) -> object: ...

    def scores(self, payload: object, call: Call) -> Scores: ...


WIRES: dict[str, Wire] = {
    "cohere": cohere,
    "pairs": pairs,
    "tei": tei,
}

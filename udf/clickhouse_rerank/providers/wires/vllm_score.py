"""vLLM's score API: one text against many in, `data[].index/score` of every text out.

Source: vLLM's scoring protocol, `/score`.
"""

from collections.abc import Mapping

from ...types import Billed, Call, Scores
from . import billing, scored_items

OWNS = frozenset(("model", "text_1", "text_2", "queries", "documents", "items", "data_1", "data_2"))


def body(call: Call) -> object:
    """`{model, text_1, text_2}` and the call's further fields; it scores them all."""
    model = {"model": call.model} if call.model else {}
    return {**model, "text_1": call.query, "text_2": call.documents, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """One item for every text."""
    return scored_items.read(payload, len(call.documents), len(call.documents))


def billed(payload: object, headers: Mapping[str, str]) -> Billed:
    """Tokens."""
    return Billed(billing.first(payload, ("usage", "total_tokens")))

"""Voyage's variation of the common body: `top_k` in, `data[].index/relevance_score` out.

Source: Voyage's API reference, `/v1/rerank`; voyageai-python tests.
"""

from collections.abc import Mapping

from ...types import Billed, Call, Scores
from . import billing, scored_items

OWNS = frozenset(("model", "query", "documents", "top_k"))


def body(call: Call) -> object:
    """`{model, query, documents, top_k}` and the call's further fields."""
    model = {"model": call.model} if call.model else {}
    return {**model, "query": call.query, "documents": call.documents, "top_k": call.top_n, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """At least `top_k` scored items, in any order."""
    return scored_items.read(payload, len(call.documents), call.top_n)


def billed(payload: object, headers: Mapping[str, str]) -> Billed:
    """Tokens."""
    return Billed(billing.first(payload, ("usage", "total_tokens")))

"""The body that Cohere introduced and most rerank APIs follow: strings in, `results[].index/relevance_score` out.

Source: Cohere's OpenAPI document, `/v1/rerank` and `/v2/rerank`; Jina's, `/v1/rerank`; LocalAI core/schema/jina.go.
"""

from collections.abc import Mapping

from ...types import Billed, Call, Scores
from . import billing, scored_items

OWNS = frozenset(("model", "query", "documents", "top_n"))


def body(call: Call) -> object:
    """`{model, query, documents, top_n}` and the call's further fields; a model of "" is left to the server."""
    model = {"model": call.model} if call.model else {}
    best = {"top_n": call.top_n} if call.sends_top_n else {}
    return {**model, "query": call.query, "documents": call.documents, **best, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """At least `top_n` scored items, in any order; a server that ignores top_n sends them all."""
    return scored_items.read(payload, len(call.documents), call.top_n)


def billed(payload: object, headers: Mapping[str, str]) -> Billed:
    """Tokens and search units from `meta`, `usage` or the places where single servers have them."""
    tokens = billing.first(
        payload,
        ("usage", "total_tokens"),
        ("meta", "billed_units", "total_tokens"),
        ("meta", "billed_units", "input_tokens"),
        ("meta", "tokens", "input_tokens"),
        ("tokens", "input_tokens"),
        ("total_tokens",),
    )
    return Billed(tokens, billing.first(payload, ("meta", "billed_units", "search_units"), ("usage", "search_units")))

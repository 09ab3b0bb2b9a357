"""The body that Cohere introduced and most rerank APIs follow: strings in, `results[].index/relevance_score` out.

Source: Cohere's OpenAPI document, `/v1/rerank` and `/v2/rerank`; Jina's, `/v1/rerank`; LocalAI core/schema/jina.go.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import billing, result_list

RESERVED_MEMBERS = frozenset(("model", "query", "documents", "top_n"))


def body(call: Call) -> object:
    """`{model, query, documents, top_n}` and the call's further fields; without a model, the server chooses."""
    model = {"model": call.model} if call.model else {}
    best = {"top_n": call.top_n} if call.sends_top_n else {}
    return {**model, "query": call.query, "documents": call.documents, **best, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """At least `top_n` scored items, in any order; a server that ignores top_n sends them all."""
    return result_list.read_scores(payload, len(call.documents), call.top_n)


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """Tokens and search units, from `meta`, `usage` or the members where some servers state them."""
    tokens = billing.first_positive(
        payload,
        ("usage", "total_tokens"),
        ("meta", "billed_units", "total_tokens"),
        ("meta", "billed_units", "input_tokens"),
        ("meta", "tokens", "input_tokens"),
        ("tokens", "input_tokens"),
        ("total_tokens",),
    )
    return BilledUnits(
        tokens, billing.first_positive(payload, ("meta", "billed_units", "search_units"), ("usage", "search_units"))
    )

"""The body that Cohere introduced and most rerank APIs follow: strings in, `results[].index/relevance_score` out.

Source: Cohere's OpenAPI document, `/v1/rerank` and `/v2/rerank`; Jina's, `/v1/rerank`; LocalAI core/schema/jina.go.
"""

from ..model import Call, Scores
from . import scored_items

OWNS = frozenset(("model", "query", "documents", "top_n"))


def body(call: Call) -> object:
    """`{model, query, documents, top_n}` and the call's further fields; a model of "" is left to the server."""
    model = {"model": call.model} if call.model else {}
    best = {"top_n": call.top_n} if call.sends_top_n else {}
    return {**model, "query": call.query, "documents": call.documents, **best, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """At least `top_n` scored items, in any order; a server that ignores top_n sends them all."""
    return scored_items.read(payload, len(call.documents), call.top_n)

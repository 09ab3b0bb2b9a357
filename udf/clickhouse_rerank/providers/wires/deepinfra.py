"""DeepInfra's body: a query per document in, a bare number per document out, in input order.

Source: DeepInfra's reranker documentation; litellm llms/deepinfra/rerank.
"""

from collections.abc import Mapping

from ...types import Billed, Call, Scores
from . import billing
from .scored_items import MalformedError, finite

OWNS = frozenset(("queries", "documents"))


def body(call: Call) -> object:
    """`{queries, documents}` of equal length and the call's further fields; the URL names the model."""
    return {"queries": [call.query] * len(call.documents), "documents": call.documents, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """One number for every document, by position."""
    values = payload.get("scores") if isinstance(payload, Mapping) else None
    if not isinstance(values, list):
        raise MalformedError("has no list of scores")
    if len(values) != len(call.documents):
        raise MalformedError(f"has {len(values)} scores for {len(call.documents)} documents")
    return [(at, finite(value)) for at, value in enumerate(values)]


def billed(payload: object, headers: Mapping[str, str]) -> Billed:
    """Tokens."""
    return Billed(billing.first(payload, ("input_tokens",), ("inference_status", "tokens_input")))

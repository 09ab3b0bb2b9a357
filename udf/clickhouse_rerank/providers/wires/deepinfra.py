"""DeepInfra's body: a query per document in, a bare number per document out, in input order.

Source: DeepInfra's reranker documentation; litellm llms/deepinfra/rerank.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import billing
from .result_list import MalformedError, finite_score

RESERVED_MEMBERS = frozenset(("queries", "documents"))


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
    return [(at, finite_score(value)) for at, value in enumerate(values)]


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens that the response states."""
    return BilledUnits(billing.first_positive(payload, ("input_tokens",), ("inference_status", "tokens_input")))

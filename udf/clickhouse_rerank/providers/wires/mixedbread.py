"""Mixedbread's variation of the common body: `input` and `top_k` in, `data[].index/score` out.

Source: Mixedbread's API reference, `/v1/reranking`; mixedbread-python types.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import billing, result_list

RESERVED_MEMBERS = frozenset(("model", "query", "input", "top_k"))


def body(call: Call) -> object:
    """`{model, query, input, top_k}` and the call's further fields."""
    model = {"model": call.model} if call.model else {}
    return {**model, "query": call.query, "input": call.documents, "top_k": call.top_n, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """At least `top_k` scored items, in any order."""
    return result_list.read_scores(payload, len(call.documents), call.top_n)


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens that the response states."""
    return BilledUnits(billing.first_positive(payload, ("usage", "total_tokens")))

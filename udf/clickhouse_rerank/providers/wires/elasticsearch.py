"""Elasticsearch's inference API: `input` in, `rerank[].index/relevance_score` out.

Source: Elasticsearch's API documentation, `/_inference/rerank/{inference_id}`. Its index may be a string of digits.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import result_list

RESERVED_MEMBERS = frozenset(("query", "input", "top_n"))


def body(call: Call) -> object:
    """`{query, input, top_n}` and the call's further fields; the URL names the model's endpoint."""
    return {"query": call.query, "input": call.documents, "top_n": call.top_n, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """At least `top_n` scored items, in any order."""
    items = payload.get("rerank") if isinstance(payload, Mapping) else None
    if isinstance(items, list):
        payload = [
            {**item, "index": result_list.integer_of_digits(item.get("index"))} if isinstance(item, Mapping) else item
            for item in items
        ]
    return result_list.read_scores(payload, len(call.documents), call.top_n)


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """Nothing: its responses state no usage."""
    return BilledUnits()

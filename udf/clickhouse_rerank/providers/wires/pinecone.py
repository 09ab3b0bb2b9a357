"""Pinecone's variation of the common body: documents are objects, `data[].index/score` comes out.

Source: Pinecone's API reference, `/rerank` of version 2025-10; pinecone-python-client tests.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import billing, result_list

RESERVED_MEMBERS = frozenset(("model", "query", "documents", "top_n", "rank_fields"))


def body(call: Call) -> object:
    """`{model, query, documents: [{text}], top_n}` and the call's further fields; the API ranks by the field `text`."""
    model = {"model": call.model} if call.model else {}
    documents = [{"text": document} for document in call.documents]
    return {**model, "query": call.query, "documents": documents, "top_n": call.top_n, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """At least `top_n` scored items, in any order."""
    return result_list.read_scores(payload, len(call.documents), call.top_n)


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The search units, which the response states as rerank units."""
    return BilledUnits(search_units=billing.first_positive(payload, ("usage", "rerank_units")))

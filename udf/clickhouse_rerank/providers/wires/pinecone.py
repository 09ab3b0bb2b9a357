"""Pinecone's variation of the common body: documents are objects, `data[].index/score` comes out.

Source: Pinecone's API reference, `/rerank` of version 2025-10; pinecone-python-client tests.
"""

from collections.abc import Mapping

from ...types import Billed, Call, Scores
from . import billing, scored_items

OWNS = frozenset(("model", "query", "documents", "top_n", "rank_fields"))


def body(call: Call) -> object:
    """`{model, query, documents: [{text}], top_n}` and the call's further fields; `text` is the field it ranks by."""
    model = {"model": call.model} if call.model else {}
    documents = [{"text": document} for document in call.documents]
    return {**model, "query": call.query, "documents": documents, "top_n": call.top_n, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """At least `top_n` scored items, in any order."""
    return scored_items.read(payload, len(call.documents), call.top_n)


def billed(payload: object, headers: Mapping[str, str]) -> Billed:
    """Its rerank units are search units."""
    return Billed(search_units=billing.first(payload, ("usage", "rerank_units")))

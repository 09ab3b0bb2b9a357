"""NVIDIA's ranking body: query and passages are objects, `rankings[].index/logit` comes out, of every passage.

Source: NVIDIA's NeMo Retriever text reranking documentation; langchain-nvidia reranking.py.
"""

from collections.abc import Mapping

from ...types import Billed, Call, Scores
from . import billing, scored_items

OWNS = frozenset(("model", "query", "passages"))


def body(call: Call) -> object:
    """`{model, query: {text}, passages: [{text}]}` and the call's further fields; it refuses a number of results."""
    model = {"model": call.model} if call.model else {}
    passages = [{"text": document} for document in call.documents]
    return {**model, "query": {"text": call.query}, "passages": passages, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """One item for every passage; a logit may be any number."""
    return scored_items.read(payload, len(call.documents), len(call.documents))


def billed(payload: object, headers: Mapping[str, str]) -> Billed:
    """Tokens."""
    return Billed(billing.first(payload, ("usage", "total_tokens")))

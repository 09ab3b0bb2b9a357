"""NVIDIA's ranking body: query and passages are objects, `rankings[].index/logit` of all passages comes out.

Source: NVIDIA's NeMo Retriever text reranking documentation; langchain-nvidia reranking.py.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import billing, result_list

RESERVED_MEMBERS = frozenset(("model", "query", "passages"))


def body(call: Call) -> object:
    """`{model, query: {text}, passages: [{text}]}` and the call's further fields; the API refuses a `top_n`."""
    model = {"model": call.model} if call.model else {}
    passages = [{"text": document} for document in call.documents]
    return {**model, "query": {"text": call.query}, "passages": passages, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """One item for every passage; a logit may be any number."""
    return result_list.read_scores(payload, len(call.documents), len(call.documents))


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens that the response states."""
    return BilledUnits(billing.first_positive(payload, ("usage", "total_tokens")))

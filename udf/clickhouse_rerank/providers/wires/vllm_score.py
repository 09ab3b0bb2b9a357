"""vLLM's score API: one text and a list of texts in, `data[].index/score` of all texts of the list out.

Source: vLLM's scoring protocol, `/score`.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import billing, result_list

RESERVED_MEMBERS = frozenset(("model", "text_1", "text_2", "queries", "documents", "items", "data_1", "data_2"))


def body(call: Call) -> object:
    """`{model, text_1, text_2}` and the call's further fields; the API scores all texts."""
    model = {"model": call.model} if call.model else {}
    return {**model, "text_1": call.query, "text_2": call.documents, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """One item for every text."""
    return result_list.read_scores(payload, len(call.documents), len(call.documents))


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens that the response states."""
    return BilledUnits(billing.first_positive(payload, ("usage", "total_tokens")))

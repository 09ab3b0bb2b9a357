"""The text-ranking task of Hugging Face's own inference container: query and texts inside `inputs`.

Source: huggingface-inference-toolkit, sentence_transformers_utils.py.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import result_list

RESERVED_MEMBERS = frozenset(("inputs",))


def body(call: Call) -> object:
    """`{inputs: {query, texts}}` and the call's further fields beside `inputs`."""
    return {"inputs": {"query": call.query, "texts": call.documents}, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """One item for every text, in any order."""
    return result_list.read_scores(payload, len(call.documents), len(call.documents))


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """Nothing: its responses state no usage."""
    return BilledUnits()

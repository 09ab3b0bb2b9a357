"""text-embeddings-inference: `{query, texts}` in, a bare list `[{index, score}]` of all texts out.

Source: text-embeddings-inference docs/openapi.json, `/rerank`; its SageMaker image serves the same at `/invocations`.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import result_list

RESERVED_MEMBERS = frozenset(("query", "texts"))


def body(call: Call) -> object:
    """`{query, texts}`; `truncate` because servers before 1.7 refuse a text over the model's length otherwise."""
    return {"query": call.query, "texts": call.documents, "truncate": True, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """One item for every text."""
    return result_list.read_scores(payload, len(call.documents), len(call.documents))


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens that a header of the response states; none behind a proxy that drops the header."""
    tokens = headers.get("x-compute-tokens", "")
    return BilledUnits(int(tokens) if tokens.isdecimal() and len(tokens) < 16 else 0)

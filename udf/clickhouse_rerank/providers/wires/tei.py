"""text-embeddings-inference: `{query, texts}` in, a bare list `[{index, score}]` of every text out.

Source: text-embeddings-inference docs/openapi.json, `/rerank`; its SageMaker image serves the same at `/invocations`.
"""

from collections.abc import Mapping

from ...types import Billed, Call, Scores
from . import scored_items

OWNS = frozenset(("query", "texts"))


def body(call: Call) -> object:
    """`{query, texts}`; `truncate` because servers before 1.7 refuse a text over the model's length otherwise."""
    return {"query": call.query, "texts": call.documents, "truncate": True, **call.fields}


def scores(payload: object, call: Call) -> Scores:
    """One item for every text."""
    return scored_items.read(payload, len(call.documents), len(call.documents))


def billed(payload: object, headers: Mapping[str, str]) -> Billed:
    """Tokens, which it tells in a header; none behind a proxy that drops it."""
    tokens = headers.get("x-compute-tokens", "")
    return Billed(int(tokens) if tokens.isdecimal() and len(tokens) < 16 else 0)

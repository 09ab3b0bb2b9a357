"""DashScope's native body: `input` and `parameters` in, `output.results[].index/relevance_score` out.

Source: Alibaba Cloud Model Studio, text rerank API.
"""

from collections.abc import Mapping

from ...errors import CallerError
from ...types import Billed, Call, Scores
from . import billing, scored_items

OWNS = frozenset(("model", "input"))


def body(call: Call) -> object:
    """`{model, input, parameters}`; the call's further fields are merged beside them, their parameters into these."""
    fields = dict(call.fields)
    given = fields.pop("parameters", {})
    if not isinstance(given, Mapping) or "top_n" in given:
        raise CallerError("BAD_OTHERS", "others.model_args.parameters must be an object without top_n.")
    return {
        "model": call.model,
        "input": {"query": call.query, "documents": call.documents},
        "parameters": {"return_documents": False, **given, "top_n": call.top_n},
        **fields,
    }


def scores(payload: object, call: Call) -> Scores:
    """At least `top_n` scored items, in any order."""
    return scored_items.read(payload, len(call.documents), call.top_n)


def billed(payload: object, headers: Mapping[str, str]) -> Billed:
    """Tokens."""
    return Billed(billing.first(payload, ("usage", "total_tokens")))

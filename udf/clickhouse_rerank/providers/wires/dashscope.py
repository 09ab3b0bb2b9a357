"""DashScope's native body: `input` and `parameters` in, `output.results[].index/relevance_score` out.

Source: Alibaba Cloud Model Studio, text rerank API.
"""

from collections.abc import Mapping

from ...errors import CallerError
from ...types import BilledUnits, Call, Scores
from . import billing, result_list

RESERVED_MEMBERS = frozenset(("model", "input"))


def body(call: Call) -> object:
    """`{model, input, parameters}`; further fields go beside them, the members of a further `parameters` into it."""
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
    return result_list.read_scores(payload, len(call.documents), call.top_n)


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens that the response states."""
    return BilledUnits(billing.first_positive(payload, ("usage", "total_tokens")))

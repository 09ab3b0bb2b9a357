"""Hugging Face text classification over text pairs: one entry per input, in input order.

Source: transformers pipelines/text_classification.py; the SageMaker Hugging Face container runs the same pipeline.
An entry is `{label, score}` (the best label only), `[{label, score}, ...]` (all labels), or for one input the bare
object. Requests set `top_k` because the best label alone does not tell a relevant document of a one-label model from an
irrelevant one of a two-label model. They set `truncation` because one pair over the model's length fails the request.
"""

import re
from collections.abc import Mapping

from ...errors import CallerError
from ...types import BilledUnits, Call, Scores
from .result_list import MalformedError, finite_score

RESERVED_MEMBERS = frozenset(("inputs",))

_RELEVANT = re.compile(r"(label_)?1|relevant|yes|true|entail(ment)?", re.IGNORECASE)
_ALL_LABELS = 100
Entry = Mapping[str, object]


def body(call: Call) -> object:
    """`{inputs: [{text, text_pair}], parameters}`; further fields go beside `inputs` and override the defaults."""
    fields = dict(call.fields)
    given = fields.pop("parameters", {})
    if not isinstance(given, Mapping):
        raise CallerError("BAD_OTHERS", "others.model_args.parameters must be an object.")
    defaults = {"truncation": True, "top_k": _ALL_LABELS}
    parameters = {key: value for key, value in defaults.items() if key not in fields}
    inputs = [{"text": call.query, "text_pair": document} for document in call.documents]
    return {"inputs": inputs, "parameters": {**parameters, **given}, **fields}


def scores(payload: object, call: Call) -> Scores:
    """One score per input: the score of the label `score_label`, or of the one label whose name means "relevant"."""
    entries = _per_input(payload, len(call.documents))
    labels = {str(scored.get("label", "")) for entry in entries for scored in entry}
    label = call.score_label or relevant_label(labels)
    return [(index, _score(entry, label, labels)) for index, entry in enumerate(entries)]


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """Nothing: its responses state no usage."""
    return BilledUnits()


def _per_input(payload: object, inputs: int) -> list[list[Entry]]:
    """One list of labelled scores per input, from any of the shapes."""
    if isinstance(payload, Mapping):
        payload = [payload]
    if not isinstance(payload, list):
        raise MalformedError("is no list of labelled scores")
    if len(payload) == 1 and isinstance(payload[0], list) and len(payload[0]) == inputs:
        payload = payload[0]
    elif inputs == 1 and len(payload) > 1:
        payload = [payload]
    if len(payload) != inputs:
        raise MalformedError(f"has {len(payload)} entries for {inputs} documents")
    entries = [entry if isinstance(entry, list) else [entry] for entry in payload]
    if not all(entry and all(isinstance(scored, Mapping) for scored in entry) for entry in entries):
        raise MalformedError("has an entry that is no labelled score")
    return entries


def relevant_label(labels: set[str]) -> str:
    """The label whose score is the relevance; "" where all entries have the same label, or none."""
    if len(labels) == 1:
        return ""
    relevant = [label for label in labels if _RELEVANT.fullmatch(label)]
    if len(relevant) != 1:
        known = ", ".join(sorted(labels)[:10])
        raise CallerError("BAD_OTHERS", f"Which label means relevant? Name it in others.score_label: {known[:200]}.")
    return relevant[0]


def _score(entry: list[Entry], label: str, labels: set[str]) -> float:
    if not label:
        return finite_score(entry[0].get("score"))
    for scored in entry:
        if scored.get("label") == label:
            return finite_score(scored.get("score"))
    if len(entry) == 1 and len(labels | {label}) == 2:
        # Only the best label came, and it is the other one of two: softmax gives the relevant label the rest.
        return 1.0 - finite_score(entry[0].get("score"))
    known = ", ".join(sorted(labels)[:10])
    raise CallerError("BAD_OTHERS", f"No score has the label {label[:60]!r}. Set others.score_label: {known[:200]}.")

"""The body of decision models that TypeSafe introduced: a state and named questions in, `answers` by name out.

Source: TypeSafe's API reference, `/v1/systemone`; Cloudflare's page of clef, whose responses are in an envelope.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import billing, questions
from .result_list import MalformedError

RESERVED_MEMBERS = frozenset(("model", "state", "questions"))


def body(call: Call) -> object:
    """`{model, state, questions: {name: {type, instructions, criteria}}}`; the state is the query."""
    question = questions.asked(call)
    criteria = {"criteria": question.criteria} if question.criteria else {}
    model = {"model": call.model} if call.model else {}
    return {
        **model,
        "state": call.query,
        "questions": {
            questions.name(position): {
                "type": "noul",
                "instructions": {"question": question.question, "note": questions.NOTE, "document": document},
                **criteria,
            }
            for position, document in enumerate(call.documents)
        },
        **question.fields,
    }


def scores(payload: object, call: Call) -> Scores:
    """A probability for each document, but for those whose question was refused."""
    if isinstance(payload, dict) and payload.get("success") is False:
        raise MalformedError("says that the request failed")
    answers = _result(payload).get("answers")
    if not isinstance(answers, dict):
        raise MalformedError("has no object of answers")
    if not all(isinstance(answer, dict) for answer in answers.values()):
        raise MalformedError("has an answer that is no object")
    return questions.probabilities(answers.items(), "noul", call)


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens that were read; those of the answer are free."""
    return BilledUnits(billing.first_positive(_result(payload), ("usage", "input_tokens")))


def _result(payload: object) -> Mapping[str, object]:
    """The answer itself, also out of an envelope."""
    if not isinstance(payload, dict):
        return {}
    result = payload.get("result")
    return result if isinstance(result, dict) and "answers" not in payload else payload

"""The body of OpenAI's decisions: an input and a list of predicates in, a list of answers out.

Source: OpenAI's API reference, `/v1/decisions`; openai-python, `client.decisions`.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import billing, questions
from .result_list import MalformedError

RESERVED_MEMBERS = frozenset(("model", "input", "questions"))


def body(call: Call) -> object:
    """`{model, input, questions: [{type, name, instructions}]}`; the input is the query.

    Predicates have no member for criteria: they stand in the instructions.
    """
    question = questions.asked(call)
    model = {"model": call.model} if call.model else {}
    return {
        **model,
        "input": call.query,
        "questions": [
            {
                "type": "predicate",
                "name": questions.name(position),
                "instructions": questions.text(question, document),
            }
            for position, document in enumerate(call.documents)
        ],
        **question.fields,
    }


def scores(payload: object, call: Call) -> Scores:
    """A probability for each document, but for those whose question was refused."""
    answers = payload.get("answers") if isinstance(payload, dict) else None
    if not isinstance(answers, list):
        raise MalformedError("has no list of answers")
    if not all(isinstance(answer, dict) for answer in answers):
        raise MalformedError("has an answer that is no object")
    return questions.probabilities(((answer.get("name"), answer) for answer in answers), "probability", call)


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens that were read; those of the answer are free."""
    return BilledUnits(billing.first_positive(payload, ("usage", "input_tokens")))

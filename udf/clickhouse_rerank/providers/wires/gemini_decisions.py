"""The body of Gemini's decisions: as `systemone`, with an input instead of a state and questions as text.

Source: google-genai, `client.decisions`, and Google's API reference. A response without answers says in
`prompt_feedback` that the input was blocked.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import billing, questions, systemone

RESERVED_MEMBERS = frozenset(("model", "input", "questions"))


def body(call: Call) -> object:
    """`{model, input, questions: {name: {type, instructions, criteria}}}`; the input is the query."""
    question = questions.asked(call)
    described = {f"{answer}_description": when for answer, when in question.criteria.items()}
    criteria = {"criteria": described} if described else {}
    model = {"model": call.model} if call.model else {}
    return {
        **model,
        "input": call.query,
        "questions": {
            questions.name(position): {
                "type": "noul",
                "instructions": questions.text(question, document, with_criteria=False),
                **criteria,
            }
            for position, document in enumerate(call.documents)
        },
        **question.fields,
    }


def scores(payload: object, call: Call) -> Scores:
    """A probability for each document; none for a blocked input."""
    if isinstance(payload, dict) and not payload.get("answers"):
        feedback = payload.get("prompt_feedback")
        if isinstance(feedback, dict) and feedback.get("block_reason"):
            return []
    return systemone.scores(payload, call)


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens that were read; those of the answer are free."""
    return BilledUnits(billing.first_positive(payload, ("usage", "total_input_tokens"), ("usage", "input_tokens")))

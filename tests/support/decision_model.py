"""What a decision model is asked, and what it answers, in each of the wires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def documents(body: Any) -> dict[str, str]:
    """The documents of a request by the names of their questions, in order."""
    asked = body["questions"]
    by_name = {one["name"]: one for one in asked} if isinstance(asked, list) else asked
    return {name: _document(one["instructions"]) for name, one in by_name.items()}


def _document(instructions: Any) -> str:
    return instructions["document"] if isinstance(instructions, dict) else instructions.rpartition("Document:\n")[2]


def answer(body: Any, probabilities: Mapping[str, float | None], tokens: int) -> dict[str, Any]:
    """The response with these probabilities by name; None is a refusal, which only OpenAI's wire has."""
    if isinstance(body["questions"], list):
        answers: Any = [
            {"type": "refusal", "name": name}
            if value is None
            else {"type": "predicate", "name": name, "probability": value}
            for name, value in probabilities.items()
        ]
    else:
        answers = {name: {"type": "noul", "noul": value} for name, value in probabilities.items()}
    return {"model": "m", "answers": answers, "usage": {"input_tokens": tokens}}

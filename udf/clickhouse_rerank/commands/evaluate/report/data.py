"""The questions as JSON that stands safely in a `script` element."""

import json
import math
from typing import Any

from ..results import Evaluation, Order, Question

MAX_TEXT = 5_000
"""Characters of a document that the page holds."""
_ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&"}


def embedded(evaluation: Evaluation) -> str:
    """ASCII JSON without a letter that HTML knows; equal documents stand in it once."""
    documents: dict[tuple[str, str], int] = {}
    questions = [_question(evaluation, question, documents) for question in evaluation.questions]
    content = {
        "rankers": [ranker.name for ranker in evaluation.rankers],
        "baseline": evaluation.baseline,
        "compared": _compared(evaluation),
        "measure": next(iter(evaluation.measures), ""),
        "silver": bool(evaluation.judge),
        "topK": evaluation.top_k,
        "documents": [[id_, text[:MAX_TEXT], max(0, len(text) - MAX_TEXT)] for id_, text in documents],
        "questions": questions,
    }
    # One line for each question would help a reader of the source; the page is for readers of the page.
    return json.dumps(content, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)


def _compared(evaluation: Evaluation) -> str:
    """The ranker that the questions are first compared by: the best of those that are not the baseline."""
    main = next(iter(evaluation.measures), "")
    others = [ranker for ranker in evaluation.rankers if ranker.name != evaluation.baseline]
    means = {ranker.name: ranker.measures[main].mean if main in ranker.measures else 0.0 for ranker in others}
    return max(means, key=means.__getitem__, default=evaluation.baseline)


def _question(evaluation: Evaluation, question: Question, documents: dict[tuple[str, str], int]) -> dict[str, Any]:
    return {
        "id": question.id,
        "text": question.text,
        "documents": [documents.setdefault((one.id, one.text), len(documents)) for one in question.candidates],
        "grades": [_number(one.grade) for one in question.candidates],
        "orders": [_order(evaluation, question.orders.get(ranker.name)) for ranker in evaluation.rankers],
    }


def _order(evaluation: Evaluation, order: Order | None) -> dict[str, Any] | None:
    if order is None:
        return None
    return {
        "indexes": order.indexes,
        "scores": [_number(score) for score in order.scores],
        "value": _number(order.measures.get(evaluation.measures[0])) if evaluation.measures else None,
        "error": order.error,
    }


def _number(value: float | None) -> float | None:
    """The number with six significant digits; None if JSON has no word for it."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None

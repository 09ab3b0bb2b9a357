"""The measures of each order and the agreement of each two, computed by the SQL functions that everybody can use."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from .. import queries
from ..embedded_engine import Engine
from ..queries import literal
from .answers import Answer
from .questions import Asked
from .results import Agreement

_MEASURES = """\
SELECT ranker, question, [rerankNDCG(grades, judged, {k}), rerankMRR(grades, {k}), rerankRecall(grades, judged, {k}),
    rerankHit(grades, 1)]
FROM file({path}, JSONEachRow, 'ranker String, question UInt32, grades Array(Float64), judged Array(Float64)')
"""
_AGREEMENTS = """\
SELECT first, second, avg(rerankRBO(a, b, 0.9)), avg(rerankOverlap(a, b, {k}))
FROM file({path}, JSONEachRow, 'first String, second String, a Array(UInt32), b Array(UInt32)')
GROUP BY first, second
"""


def names(top_k: int) -> tuple[str, ...]:
    """The measures, the main one first."""
    return f"nDCG@{top_k}", f"MRR@{top_k}", f"recall@{top_k}", "hit@1"


def measure(
    engine: Engine, asked: Sequence[Asked], answers: Mapping[str, Sequence[Answer]], top_k: int
) -> dict[tuple[str, int], dict[str, float]]:
    """(ranker, question's number) -> measures; only of questions that somebody judged.

    A document that nobody judged counts as not relevant, as trec_eval has it, and a question without a ranking has 0.
    """
    lines = (
        {
            "ranker": ranker,
            "question": number,
            "grades": [asked[number].grades[index] or 0.0 for index in answer.indexes],
            "judged": asked[number].judged,
        }
        for ranker, given in answers.items()
        for number, answer in enumerate(given)
        if asked[number].judged
    )
    found = _run(engine, _MEASURES, lines, top_k)
    return {(ranker, number): dict(zip(names(top_k), values, strict=True)) for ranker, number, values in found}


def agreements(engine: Engine, answers: Mapping[str, Sequence[Answer]], top_k: int) -> tuple[Agreement, ...]:
    """Of each two rankers, as means over the questions that both ranked."""
    lines = (
        {"first": first, "second": second, "a": one.indexes, "b": other.indexes}
        for first, second in combinations(answers, 2)
        for one, other in zip(answers[first], answers[second], strict=True)
        if one.indexes and other.indexes
    )
    found = {(first, second): means for first, second, *means in _run(engine, _AGREEMENTS, lines, top_k)}
    return tuple(Agreement(*pair, *found[pair]) for pair in combinations(answers, 2) if pair in found)


def _run(engine: Engine, sql: str, lines: Iterable[Mapping[str, object]], top_k: int) -> list[list[Any]]:
    path = engine.files / "orders.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return queries.rows(engine, sql.format(path=literal(str(path)), k=top_k))

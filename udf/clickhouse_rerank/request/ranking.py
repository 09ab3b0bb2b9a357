"""Scores of responses -> the ranking of a row. Pure.

Scores come in the order of a request's documents (`Scores`), are gathered in the order of the call's documents
(`CallScores`), and then brought into the order of the row's documents (`RowScores`).
"""

import math
from array import array
from collections.abc import Sequence
from operator import itemgetter

from ..errors import ProviderFailedError
from ..types import Call, CallScores, Ranking, Row, RowScores, Scores
from .endpoint import Endpoint
from .plan import Part

_FLOAT32 = "f"
_score = itemgetter(1)


def gathered(parts: Sequence[Part], answers: Sequence[Scores]) -> CallScores:
    """The scores of all parts of a call, one answer for each part -> the scores of the call."""
    last = parts[-1]
    scores: list[float | None] = [None] * (last.start + len(last.call.documents))
    for part, answer in zip(parts, answers, strict=True):
        start = part.start
        for position, score in answer:
            scores[start + position] = score
    return CallScores(scores)


def joined(halves: Sequence[Part], answers: Sequence[Scores]) -> Scores:
    """The answers to the halves of a request -> the answer to the request."""
    both = zip(halves, answers, strict=True)
    return [(half.start + position, score) for half, answer in both for position, score in answer]


def completed(known: CallScores, fresh: CallScores, endpoint: Endpoint) -> CallScores:
    """The known scores of a call, with the fresh scores of the other documents, in their order, in the gaps.

    Errors: PROVIDER if a decision model refused to judge every document.
    """
    if len(fresh) == len(known):
        scores = fresh
    else:
        rest = iter(fresh)
        scores = CallScores([next(rest) if score is None else score for score in known])
    if endpoint.asks_questions and all(score is None for score in scores):
        raise ProviderFailedError(
            "PROVIDER",
            f"{endpoint.provider.name} refused to judge any of {len(scores)} documents. Change others.question or the "
            "query, or name a fallback.",
        )
    return scores


def row_scores(row: Row, positions: Sequence[int], call: Call, scores: CallScores) -> RowScores:
    """The scores of a call -> the scores of all documents of its row; equal documents that were sent once share one."""
    if len(call.documents) == len(row.documents):
        return RowScores(scores)
    if len(call.documents) == len(positions):
        spread: list[float | None] = [None] * len(row.documents)
        for position, score in zip(positions, scores, strict=True):
            spread[position] = score
        return RowScores(spread)
    by_document = dict(zip(call.documents, scores, strict=True))
    return RowScores([by_document.get(document) for document in row.documents])


def ranked(row: Row, scores: RowScores, endpoint: Endpoint) -> Ranking:
    """The best `top_k` documents of a row, by the provider's score and then by position.

    The order is that of the scores before `normalize` and before they become Float32, where different scores may
    become equal: a provider that returns the best few only has cut its list in this order. Documents without a score
    come last, in input order. `min_score` leaves them out, and all documents below it.
    """
    options = endpoint.options
    scored = [pair for pair in enumerate(scores) if pair[1] is not None]
    # The sort is stable, also in reverse: equal scores stay in order of position.
    scored.sort(key=_score, reverse=True)
    scored = scored[: row.top_k]
    values = [score for _, score in scored if score is not None]
    if options.normalize == "sigmoid":
        values = [_sigmoid(value) for value in values]
    best = [(position, value) for (position, _), value in zip(scored, array(_FLOAT32, values), strict=True)]
    if options.min_score is not None:
        (least,) = array(_FLOAT32, [options.min_score])
        return Ranking([pair for pair in best if pair[1] >= least])
    if len(best) < min(row.top_k, len(row.documents)):
        unscored = [(position, math.nan) for position, score in enumerate(scores) if score is None]
        best += unscored[: row.top_k - len(best)]
    return Ranking(best)


def unscored(row: Row) -> Ranking:
    """The first `top_k` documents of a row in input order, without scores."""
    return Ranking([(i, math.nan) for i in range(min(row.top_k, len(row.documents)))])


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    power = math.exp(value)
    return power / (1.0 + power)

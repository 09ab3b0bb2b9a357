"""A row's documents -> the call that scores them, and scores -> the row's ranking. Pure."""

import math
import struct
from collections.abc import Sequence

from .endpoints import Endpoint
from .model import Call, Ranking, Row, Scores


def scored_positions(row: Row) -> list[int]:
    """Positions of the documents that are sent: those that are not blank, which many APIs refuse."""
    return [i for i, document in enumerate(row.documents) if document and not document.isspace()]


def call(row: Row, positions: Sequence[int], endpoint: Endpoint) -> Call:
    """The request that scores the documents at `positions` (at least one)."""
    options, provider = endpoint.options, endpoint.provider
    return Call(
        query=row.query,
        documents=[row.documents[i] for i in positions],
        top_n=min(row.top_k, len(positions)),
        model=options.model or provider.model,
        fields={**provider.fixed, **options.fields, **options.model_args},
        score_label=options.score_label,
    )


def ranking(row: Row, positions: Sequence[int], scores: Scores, endpoint: Endpoint) -> Ranking:
    """The best `top_k` of the row, by score as Float32 and then by position; documents without a score come last.

    `scores` count in `positions`. With `min_score` set, documents below it or without a score are left out.
    """
    options = endpoint.options
    values = [score for _, score in scores]
    if options.normalize == "sigmoid":
        values = [_sigmoid(value) for value in values]
    pairs = [(positions[at], value) for (at, _), value in zip(scores, _float32(values), strict=True)]
    pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    if options.min_score is not None:
        (least,) = _float32([options.min_score])
        return [pair for pair in pairs if pair[1] >= least][: row.top_k]
    best = pairs[: row.top_k]
    if len(best) < min(row.top_k, len(row.documents)):
        sent = set(positions)
        blank = [(i, math.nan) for i in range(len(row.documents)) if i not in sent]
        best += blank[: row.top_k - len(best)]
    return best


def _float32(values: Sequence[float]) -> tuple[float, ...]:
    shape = f"{len(values)}f"
    return struct.unpack(shape, struct.pack(shape, *values))


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    power = math.exp(value)
    return power / (1.0 + power)

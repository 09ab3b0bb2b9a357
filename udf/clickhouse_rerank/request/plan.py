"""A row's documents -> the requests that score them, and scores -> the row's ranking. Pure."""

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import CallerError, RequestRejectedError
from ..providers.wires import WIRES, encoded
from ..types import Call, Ranking, Row, Scores, sendable
from .endpoint import Endpoint

_ENDING = 24


@dataclass(frozen=True, slots=True)
class Part:
    """One request: the documents of a call from position `start` on, as `call`, and as `body` on the wire."""

    start: int
    call: Call
    body: bytes


def scored_positions(row: Row) -> Sequence[int]:
    """Positions of the documents that are sent: those that are not blank, which many APIs refuse."""
    documents = row.documents
    if all(documents) and not any(map(str.isspace, documents)):
        return range(len(documents))
    return [i for i, document in enumerate(documents) if document and not document.isspace()]


def call(row: Row, positions: Sequence[int], endpoint: Endpoint) -> Call:
    """The call that scores the documents at `positions` (at least one), whatever one request may hold.

    Where each document is scored for itself over the network, equal ones are one.
    """
    options, provider = endpoint.options, endpoint.provider
    documents = row.documents if len(positions) == len(row.documents) else [row.documents[i] for i in positions]
    if provider.wire and not endpoint.is_listwise:
        documents = _distinct(documents)
    return Call(
        query=row.query,
        documents=documents,
        top_n=min(row.top_k, len(documents)) if provider.takes_top_n else len(documents),
        model=endpoint.model,
        fields={**provider.fixed, **options.fields, **options.model_args},
        score_label=options.score_label,
        sends_top_n=provider.takes_top_n,
    )


def _distinct(documents: list[str]) -> list[str]:
    """Each document once, where it is first; that all end differently is quicker to see than that none are equal."""
    if len({document[-_ENDING:] for document in documents}) == len(documents):
        return documents
    return list(dict.fromkeys(documents))


def parts(call: Call, endpoint: Endpoint) -> list[Part]:
    """The requests of a call, each within the provider's limits, together all its documents in order.

    Errors: a text or a document alone over a limit; a list over one where the model scores documents against each
    other, so that scores of several requests could not be compared.
    """
    limits = endpoint.limits
    for text in (call.query, *call.documents) if limits.text_chars else ():
        _check_length(text, limits.text_chars, "text", endpoint)
    _check_length(call.query, limits.query_chars, "query", endpoint)
    size = endpoint.options.batch_size or limits.documents or len(call.documents)
    if size < len(call.documents) and endpoint.is_listwise:
        raise _indivisible(f"{size} documents", endpoint)
    starts = range(0, len(call.documents), size)
    return [part for start in starts for part in _fitting(start, _slice(call, start, start + size), endpoint)]


def merged(parts: Sequence[Part], scores: Sequence[Scores]) -> Scores:
    """Scores of each part -> scores of the call."""
    return [(part.start + at, score) for part, found in zip(parts, scores, strict=True) for at, score in found]


def spread(row: Row, positions: Sequence[int], call: Call, scores: Scores) -> Scores:
    """Scores of a call -> scores that count in `positions`, where equal documents share theirs."""
    if len(call.documents) == len(positions):
        return scores
    places: dict[str, list[int]] = {}
    for at, position in enumerate(positions):
        places.setdefault(row.documents[position], []).append(at)
    return [(at, score) for asked, score in scores for at in places[call.documents[asked]]]


def _fitting(start: int, call: Call, endpoint: Endpoint) -> Iterator[Part]:
    """The call as one request, or halved until each half fits."""
    body = encoded(WIRES[endpoint.wire], call)
    count, over = len(call.documents), _over(call, body, endpoint)
    if not over:
        yield Part(start, call, body)
    elif count == 1:
        name = endpoint.provider.name
        raise RequestRejectedError("TOO_LARGE", f"{name} takes {over} a request; one document is over. Shorten it.")
    elif endpoint.is_listwise:
        raise _indivisible(over, endpoint)
    else:
        half = (count + 1) // 2
        yield from _fitting(start, _slice(call, 0, half), endpoint)
        yield from _fitting(start + half, _slice(call, half, count), endpoint)


def _over(call: Call, body: bytes, endpoint: Endpoint) -> str:
    """The limit in bytes that a request exceeds, in words; "" when it fits."""
    limits = endpoint.limits
    if limits.body_bytes is not None and len(body) > limits.body_bytes:
        return f"{limits.body_bytes} bytes"
    if limits.pair_bytes is not None:
        each = limits.pair_extra_bytes + _utf8_bytes(call.query)
        if sum(each + _utf8_bytes(document) for document in call.documents) > limits.pair_bytes:
            return f"{limits.pair_bytes} bytes of query and document pairs"
    return ""


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(sendable(text).encode())


def _slice(call: Call, start: int, end: int) -> Call:
    documents = call.documents[start:end]
    if len(documents) == len(call.documents):
        return call
    best = min(call.top_n, len(documents)) if call.sends_top_n else len(documents)
    return replace(call, documents=documents, top_n=best)


def _check_length(text: str, most: int | None, what: str, endpoint: Endpoint) -> None:
    if most is not None and len(text) > most:
        name = endpoint.provider.name
        raise RequestRejectedError(
            "TOO_LARGE", f"{name} takes at most {most} characters in a {what}; one has {len(text)}. Shorten it."
        )


def _indivisible(most: str, endpoint: Endpoint) -> CallerError:
    model = endpoint.model[:60] or "its model"
    return CallerError(
        "BAD_ARGUMENT",
        f"A request of {endpoint.provider.name} holds {most}, and {model} scores documents against each other: "
        "scores of several requests could not be compared. Pass fewer documents.",
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


def unscored(row: Row) -> Ranking:
    """The first `top_k` documents as they came, none of them scored."""
    return [(i, math.nan) for i in range(min(row.top_k, len(row.documents)))]


def _float32(values: Sequence[float]) -> tuple[float, ...]:
    shape = f"{len(values)}f"
    return struct.unpack(shape, struct.pack(shape, *values))


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    power = math.exp(value)
    return power / (1.0 + power)

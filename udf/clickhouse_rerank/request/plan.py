"""A row -> the call that scores its documents -> the requests of the call; and scores back to the row's ranking. Pure.

One request is a `Part`. Scores come back in the order of a part's documents (`Scores`), are gathered in the order of
the call's documents (`CallScores`), and then brought into the order of the row's documents (`RowScores`).
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from ..errors import CallerError, RequestRejectedError
from ..providers.wires import WIRES, encoded
from ..types import Call, CallScores, Ranking, Row, RowScores, Scores, sendable
from .endpoint import Endpoint

_ENDING = 24
_FLOAT32 = "f"
_score = itemgetter(1)


@dataclass(frozen=True, slots=True)
class Part:
    """One request: some documents of a call, from position `start` on. `call` holds them; `body` is its JSON."""

    start: int
    call: Call
    body: bytes


def scored_positions(row: Row) -> Sequence[int]:
    """Positions of the row's documents that are scored: all that are not blank. Many APIs refuse blank documents."""
    documents = row.documents
    if all(documents) and not any(map(str.isspace, documents)):
        return range(len(documents))
    return [i for i, document in enumerate(documents) if document and not document.isspace()]


def call(row: Row, positions: Sequence[int], endpoint: Endpoint) -> Call:
    """The call that scores the documents at `positions` (at least one); `parts` splits it into requests.

    Equal documents are sent once, where the model scores each document independently and over the network.
    """
    options, provider = endpoint.options, endpoint.provider
    documents = row.documents if len(positions) == len(row.documents) else [row.documents[i] for i in positions]
    if not endpoint.provider.is_local and not endpoint.is_listwise:
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
    """Each document once, in the order of its first occurrence."""
    # Documents with different endings are different: this check costs less than hashing whole documents.
    if len({document[-_ENDING:] for document in documents}) == len(documents):
        return documents
    return list(dict.fromkeys(documents))


def parts(call: Call, endpoint: Endpoint) -> list[Part]:
    """The requests of a call: each is within the provider's limits, and together they hold its documents in order.

    Errors: TOO_LARGE for a single text or document over a limit; BAD_ARGUMENT for a list over a limit where the model
    scores documents against each other, because scores of several requests could not be compared.
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


def gathered(parts: Sequence[Part], answers: Sequence[Scores]) -> CallScores:
    """The scores of all parts of a call, one answer for each part -> the scores of the call."""
    last = parts[-1]
    scores: list[float | None] = [None] * (last.start + len(last.call.documents))
    for part, answer in zip(parts, answers, strict=True):
        start = part.start
        for position, score in answer:
            scores[start + position] = score
    return CallScores(scores)


def completed(known: CallScores, fresh: CallScores) -> CallScores:
    """The known scores of a call, with the fresh scores of the other documents, in their order, in the gaps."""
    if len(fresh) == len(known):
        return fresh
    rest = iter(fresh)
    return CallScores([next(rest) if score is None else score for score in known])


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


def _fitting(start: int, call: Call, endpoint: Endpoint) -> Iterator[Part]:
    """The call as one request, or in halves until each fits."""
    body = encoded(WIRES[endpoint.wire], call)
    count, over = len(call.documents), _over(call, body, endpoint)
    if not over:
        yield Part(start, call, body)
    elif count == 1:
        name = endpoint.provider.name
        raise RequestRejectedError(
            "TOO_LARGE",
            f"{name} takes at most {over} in a request; a request with one document has more. Shorten the document or "
            "the query.",
        )
    elif endpoint.is_listwise:
        raise _indivisible(over, endpoint)
    else:
        half = (count + 1) // 2
        yield from _fitting(start, _slice(call, 0, half), endpoint)
        yield from _fitting(start + half, _slice(call, half, count), endpoint)


def _over(call: Call, body: bytes, endpoint: Endpoint) -> str:
    """The limit in bytes that a request exceeds, in words; "" if it fits."""
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


def _check_length(text: str, limit: int | None, what: str, endpoint: Endpoint) -> None:
    if limit is not None and len(text) > limit:
        name = endpoint.provider.name
        raise RequestRejectedError(
            "TOO_LARGE", f"{name} takes at most {limit} characters in a {what}; one has {len(text)}. Shorten it."
        )


def _indivisible(limit: str, endpoint: Endpoint) -> CallerError:
    model = endpoint.model[:60] or "its model"
    return CallerError(
        "BAD_ARGUMENT",
        f"A request to {endpoint.provider.name} holds at most {limit}. {model} scores documents against each other, "
        "and scores of several requests could not be compared. Pass fewer documents.",
    )


def ranking(row: Row, scores: RowScores, endpoint: Endpoint) -> Ranking:
    """The best `top_k` documents of a row, by score as Float32 and then by position.

    Documents without a score come last, in input order. With `min_score`, they and all below it are left out.
    """
    options = endpoint.options
    positions = [position for position, score in enumerate(scores) if score is not None]
    values = [score for score in scores if score is not None]
    if options.normalize == "sigmoid":
        values = [_sigmoid(value) for value in values]
    # The sort is stable, also in reverse: equal scores stay in order of position.
    pairs = sorted(zip(positions, array(_FLOAT32, values), strict=True), key=_score, reverse=True)
    if options.min_score is not None:
        (least,) = array(_FLOAT32, [options.min_score])
        return Ranking([pair for pair in pairs if pair[1] >= least][: row.top_k])
    best = pairs[: row.top_k]
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

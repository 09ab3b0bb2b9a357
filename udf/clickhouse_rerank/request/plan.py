"""A row -> the call that scores its documents -> the requests of the call. Pure. The way back is in `ranking`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import CallerError, RequestRejectedError
from ..providers.wires import WIRES, encoded
from ..types import Call, Row, sendable
from .endpoint import Endpoint

_ENDING = 24


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

    Equal documents are sent once, where the model scores each document independently.
    """
    options, provider = endpoint.options, endpoint.provider
    documents = row.documents if len(positions) == len(row.documents) else [row.documents[i] for i in positions]
    if not endpoint.is_listwise:
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


def check_sizes(parts: Sequence[Part], most: int) -> None:
    """Errors: TOO_LARGE for a request with a body of more than `most` bytes."""
    if any(len(part.body) > most for part in parts):
        limit = f"{most >> 20} MiB"
        raise RequestRejectedError("TOO_LARGE", f"The request exceeds {limit}. Send fewer or shorter documents.")


def _fitting(start: int, call: Call, endpoint: Endpoint) -> Iterator[Part]:
    """The call as one request, or in halves until each fits."""
    data = body(call, endpoint)
    count, over = len(call.documents), _over(call, data, endpoint)
    if not over:
        yield Part(start, call, data)
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
        for at, half in _halves(call):
            yield from _fitting(start + at, half, endpoint)


def body(call: Call, endpoint: Endpoint) -> bytes:
    """The body of the request for a call, as JSON; documents are cut to what the endpoint takes of each."""
    most = endpoint.most_document_bytes
    if most is not None:
        call = replace(call, documents=[_cut(document, most) for document in call.documents])
    return encoded(WIRES[endpoint.wire], call)


def _cut(text: str, most: int) -> str:
    """The beginning of a text, of at most so many bytes."""
    if len(text) * 4 <= most:
        return text
    return sendable(text[:most]).encode()[:most].decode("utf-8", "ignore")


def tokens(body: bytes, endpoint: Endpoint) -> int:
    """The tokens of a request, estimated from its bytes."""
    return math.ceil(len(body) / endpoint.options.bytes_per_token)


def halved(part: Part, endpoint: Endpoint) -> list[Part]:
    """A request with several documents as two; `start` counts from the first document of the request."""
    return [Part(at, half, body(half, endpoint)) for at, half in _halves(part.call)]


def _halves(call: Call) -> tuple[tuple[int, Call], tuple[int, Call]]:
    """A call with several documents as two, each with the position of its first document."""
    count = len(call.documents)
    half = (count + 1) // 2
    return (0, _slice(call, 0, half)), (half, _slice(call, half, count))


def _over(call: Call, body: bytes, endpoint: Endpoint) -> str:
    """The limit in bytes that a request exceeds, in words; "" if it fits."""
    limits = endpoint.limits
    if limits.body_bytes is not None and len(body) > limits.body_bytes:
        return f"{limits.body_bytes} bytes"
    if limits.tokens is not None and len(call.documents) > 1 and tokens(body, endpoint) > limits.tokens:
        return f"{limits.tokens} tokens"
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
    model = f"The model {endpoint.model[:60]}" if endpoint.model else "Its model"
    return CallerError(
        "BAD_ARGUMENT",
        f"A request to {endpoint.provider.name} holds at most {limit}. {model} scores documents against each other, "
        "and scores of several requests could not be compared. Pass fewer documents.",
    )

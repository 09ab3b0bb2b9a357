"""Windows that slide over a list, for a model that orders a few documents at a time. Pure.

A window holds `window` documents of the order so far. The first stands at the end of the list, each next one `step`
documents before it, and the last at the beginning. What is best in a window is in the next one too, and so reaches the
front. 100 documents in windows of 20 by 10 are 9 requests. This is the arithmetic of RankGPT and RankLLM, but for lists
whose length is no multiple of the step: those ask once more about documents that the window at the beginning had.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..errors import CallerError, ProviderFailedError
from ..types import Call, CallScores, Scores
from . import plan
from .endpoint import Endpoint
from .plan import Part


def windows(documents: int, endpoint: Endpoint) -> list[range]:
    """The places in the order that each request is about, in the sequence of the requests.

    Errors: BAD_OTHERS for a step that is not shorter than the window: documents would not meet those of other windows.
    """
    size, passes = endpoint.options.window, endpoint.options.passes
    step = endpoint.options.step or size // 2
    if step >= size:
        raise CallerError("BAD_OTHERS", "others.step must be less than others.window, which is 20 unless it is given.")
    return list(_pass(documents, size, step)) * passes


def _pass(documents: int, size: int, step: int) -> Iterator[range]:
    end = documents
    while end > size:
        yield range(end - size, end)
        end -= step
    yield range(end)


def part(call: Call, order: Sequence[int], window: range, endpoint: Endpoint) -> Part:
    """The request about the documents at these places of the order, which holds positions in the call's documents."""
    documents = [call.documents[order[place]] for place in window]
    asked = replace(call, documents=documents, top_n=len(documents))
    return Part(window.start, asked, plan.body(asked, endpoint))


def moved(order: Sequence[int], window: range, answer: Scores, endpoint: Endpoint) -> list[int]:
    """The order after an answer about a window: the documents that it names, best first, then the others as they were.

    Errors: PROVIDER for an answer that names none, which is a refusal.
    """
    if not answer:
        name = endpoint.provider.name
        raise ProviderFailedError(
            "PROVIDER", f"{name} refused to rank {len(window)} documents. Change the query, or name a fallback."
        )
    named = [position for position, _ in sorted(answer, key=lambda pair: -pair[1])]
    left_out = sorted(set(range(len(window))) - set(named))
    before, after = order[: window.start], order[window.stop :]
    return [*before, *(order[window.start + at] for at in (*named, *left_out)), *after]


def scores(order: Sequence[int]) -> CallScores:
    """The scores of a call: 1 for the first document of the order, 1 - rank / n for the others."""
    found: list[float | None] = [None] * len(order)
    for rank, position in enumerate(order):
        found[position] = 1 - rank / len(order)
    return CallScores(found)

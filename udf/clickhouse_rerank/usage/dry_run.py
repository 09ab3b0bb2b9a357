"""What calls would send and cost: as JSON for `others.dry_run`, or counted in the usage log for a dry run of a query.

Tokens, search units and cost are estimates.
"""

import time
from collections.abc import Mapping, Sequence

import orjson

from ..config.prices import Price
from ..request import plan
from ..request.endpoint import Endpoint
from ..request.plan import Part
from ..types import BilledUnits, Call, Scores, sendable
from .counters import Counts
from .recorder import UsageLine

_BYTES_PER_TOKEN = 4
"""In English; other languages and scripts have fewer bytes per token."""
_DOCUMENTS_PER_UNIT = 100
_TOKENS_PER_DOCUMENT = 500
"""A search unit is a query with 100 documents; query and document together count once for each 500 tokens begun."""


def text(
    endpoint: Endpoint,
    line: UsageLine,
    parts: Sequence[Part],
    prices: Mapping[tuple[str, str], Price],
) -> str:
    """The JSON object of a dry run.

    `line` has the number of documents to score, and of these, how many scores are known. `parts` are the requests for
    the rest. Documents are passages if the call cuts them.
    `cost` is "unknown" if there are requests and the model has no price in `prices`.
    """
    estimates = [_estimate(part, endpoint) for part in parts]
    tokens, units = (sum(numbers) for numbers in zip(*estimates, strict=True)) if estimates else (0, 0)
    price = prices.get((endpoint.provider.name, endpoint.named_model), None if parts else Price())
    found = {
        "provider": endpoint.provider.name,
        "model": sendable(endpoint.named_model),
        "documents": line.documents,
        "cached": line.cached,
        "requests": len(parts),
        "bytes": sum(len(part.body) for part in parts),
        "tokens": tokens,
        "search_units": units,
        "cost": "unknown" if price is None else round(price.of(units, tokens, len(parts)), 9),
    }
    if endpoint.options.passages is not None:
        found["left_out"] = line.left_out
    return orjson.dumps(found).decode()


class PlanningClient:
    """Stands in for the client when a whole query runs dry: it sends nothing, and every document has the score 0."""

    def __init__(self) -> None:
        self.counts = Counts()

    async def scores(self, part: Part, endpoint: Endpoint, deadline: object, line: UsageLine) -> Scores:
        """Count in `line` what the request would cost."""
        line.begin_request(time.monotonic())
        line.end_request(1, _estimate(part, endpoint), is_answered=True, is_rate_limited=False)
        self.counts.requests += 1
        return [(position, 0.0) for position in range(part.call.top_n)]

    async def aclose(self) -> None:
        pass


def _estimate(part: Part, endpoint: Endpoint) -> BilledUnits:
    """What a request would be billed for."""
    if endpoint.asks_questions or endpoint.writes_order:
        return BilledUnits(tokens=plan.tokens(part.body, endpoint))
    pairs = _pair_tokens(part.call)
    return BilledUnits(sum(pairs), _search_units(pairs))


def _pair_tokens(call: Call) -> list[int]:
    """Estimated tokens of each document together with the query."""
    query = _bytes(call.query)
    return [-(-(query + _bytes(document)) // _BYTES_PER_TOKEN) for document in call.documents]


def _search_units(pairs: Sequence[int]) -> int:
    chunks = sum(-(-tokens // _TOKENS_PER_DOCUMENT) for tokens in pairs)
    return -(-chunks // _DOCUMENTS_PER_UNIT)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(sendable(text).encode())

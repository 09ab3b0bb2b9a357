"""What a call would send and cost, as JSON for `others.dry_run`. Tokens, search units and cost are estimates."""

from collections.abc import Mapping, Sequence

import orjson

from ..config.prices import Price
from ..request.endpoint import Endpoint
from ..request.plan import Part
from ..types import Call, sendable

_BYTES_PER_TOKEN = 4
"""In English; other languages and scripts have fewer bytes per token."""
_DOCUMENTS_PER_UNIT = 100
_TOKENS_PER_DOCUMENT = 500
"""A search unit is a query with 100 documents; query and document together count once for each 500 tokens begun."""


def text(
    endpoint: Endpoint,
    documents: int,
    cached: int,
    parts: Sequence[Part],
    prices: Mapping[tuple[str, str], Price],
) -> str:
    """The JSON object of a dry run.

    `documents` is the number to score; for `cached` of these, scores are known. `parts` are the requests for the rest.
    `cost` is "unknown" if there are requests and the model has no price in `prices`.
    """
    pairs = [_pair_tokens(part.call) for part in parts]
    tokens = sum(map(sum, pairs))
    units = sum(map(_search_units, pairs))
    price = prices.get((endpoint.provider.name, endpoint.named_model), None if parts else Price())
    found = {
        "provider": endpoint.provider.name,
        "model": sendable(endpoint.named_model),
        "documents": documents,
        "cached": cached,
        "requests": len(parts),
        "bytes": sum(len(part.body) for part in parts),
        "tokens": tokens,
        "search_units": units,
        "cost": "unknown" if price is None else round(price.of(units, tokens, len(parts)), 9),
    }
    return orjson.dumps(found).decode()


def _pair_tokens(call: Call) -> list[int]:
    """Estimated tokens of each document together with the query."""
    query = _bytes(call.query)
    return [-(-(query + _bytes(document)) // _BYTES_PER_TOKEN) for document in call.documents]


def _search_units(pairs: Sequence[int]) -> int:
    chunks = sum(-(-tokens // _TOKENS_PER_DOCUMENT) for tokens in pairs)
    return -(-chunks // _DOCUMENTS_PER_UNIT)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(sendable(text).encode())

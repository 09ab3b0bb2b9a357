"""What a call would send and cost, as JSON for `others.dry_run`; what is planned is exact, tokens and cost are not."""

from collections.abc import Mapping, Sequence

import orjson

from ..config.prices import Price
from ..request.endpoint import Endpoint
from ..request.plan import Part
from ..types import Call, sendable

_BYTES_OF_TOKEN = 4
"""Of English; other languages and scripts have fewer."""
_DOCUMENTS_OF_UNIT = 100
_TOKENS_OF_DOCUMENT = 500
"""A search unit is a query with a hundred documents; a longer one, its query included, counts for each begun 500."""


def text(
    endpoint: Endpoint,
    documents: int,
    cached: int,
    parts: Sequence[Part],
    prices: Mapping[tuple[str, str], Price],
) -> str:
    """An object: `documents` to score, of which `cached` are known; of the `requests` for the others bytes, estimates.

    `cost` is "unknown" where there would be requests and the model has no price.
    """
    pairs = [_pair_tokens(part.call) for part in parts]
    tokens = sum(map(sum, pairs))
    units = sum(map(_search_units, pairs))
    price = prices.get((endpoint.provider.name, endpoint.named_model), None if parts else Price())
    told = {
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
    return orjson.dumps(told).decode()


def _pair_tokens(call: Call) -> list[int]:
    """Of the query and each document together."""
    query = _bytes(call.query)
    return [-(-(query + _bytes(document)) // _BYTES_OF_TOKEN) for document in call.documents]


def _search_units(pairs: Sequence[int]) -> int:
    chunks = sum(-(-tokens // _TOKENS_OF_DOCUMENT) for tokens in pairs)
    return -(-chunks // _DOCUMENTS_OF_UNIT)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(sendable(text).encode())

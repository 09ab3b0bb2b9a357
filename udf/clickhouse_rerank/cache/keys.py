"""The keys of the cache: keyed hashes of all that a score depends on, and of the key that paid for it."""

import json
import struct
from collections.abc import Iterable
from hashlib import blake2b

from .. import __version__
from ..request.endpoint import Endpoint
from ..types import Call

_KEY_BYTES = 16
_JSON = json.JSONEncoder(sort_keys=True, default=repr).encode


def of_call(secret: bytes, prefix: bytes, rest: bytes) -> bytes:
    """The key of a whole call: `prefix` is its `endpoint_bytes`, `rest` its `call_bytes` or a hash of its row."""
    digest = blake2b(prefix, key=secret, digest_size=_KEY_BYTES, person=b"call")
    digest.update(rest)
    return digest.digest()


def of_pairs(secret: bytes, prefix: bytes, call: Call) -> list[bytes]:
    """The key of the query with each document, in the call's order; `prefix` is the `endpoint_bytes`."""
    query = blake2b(prefix, key=secret, digest_size=_KEY_BYTES, person=b"pair")
    query.update(_framed((call.query,)))
    found = []
    for document in call.documents:
        digest = query.copy()
        digest.update(_bytes(document))
        found.append(digest.digest())
    return found


def call_bytes(call: Call, endpoint: Endpoint) -> bytes:
    """Everything that the scores of a call depend on, except the endpoint."""
    # batch_size decides whether the list of a listwise model is refused; for other models it changes no score.
    size = endpoint.options.batch_size if endpoint.is_listwise else None
    return _framed((str(call.top_n), str(size), call.query, *call.documents))


def endpoint_bytes(endpoint: Endpoint) -> bytes:
    """All that a score depends on, except the texts. It includes the API key: users of other keys share no entry."""
    options = endpoint.options
    return _framed(
        (
            __version__,
            endpoint.provider.name,
            endpoint.url,
            endpoint.wire,
            endpoint.model,
            _JSON((endpoint.provider.fixed, options.fields, options.model_args)),
            _JSON(endpoint.headers),
            options.score_label,
            endpoint.key.reveal(),
            options.access_key_id,
            options.session_token,
            options.region_name,
            endpoint.credential if endpoint.uses_server_identity else "",
            str(endpoint.is_listwise),
            str((options.window, options.step, options.passes) if endpoint.writes_order else None),
            str(endpoint.most_document_bytes),
            endpoint.stamp,
        )
    )


def _framed(texts: Iterable[str]) -> bytes:
    """The number of texts, their lengths and the texts, so that no two lists of texts give the same bytes."""
    parts = [_bytes(text) for text in texts]
    return struct.pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts)) + b"".join(parts)


def _bytes(text: str) -> bytes:
    """The text as bytes; different texts give different bytes, also if they come from invalid UTF-8."""
    return text.encode("utf-8", "surrogatepass")

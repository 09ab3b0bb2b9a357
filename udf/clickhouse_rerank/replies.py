"""A provider's HTTP reply -> its JSON, or the error it amounts to, in the provider's own words."""

import re
from collections.abc import Iterator, Mapping

import orjson

from .endpoints import Endpoint
from .errors import CallerError, ProviderFailedError, RequestRejectedError, RerankError
from .transport import Reply

_MAX_WORDS = 200
_MAX_DEPTH = 6
_QUOTED = re.compile(rb'"(?:message|msg|Message|detail|error|reason)"\s*:\s*("(?:[^"\\]|\\.){1,2000}")')
_KEYS = ("OriginalMessage", "message", "Message", "msg", "reason", "detail", "error", "errors", "error_description")
_MARKUP = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<", re.IGNORECASE)
_RETRYABLE = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 529))

_Meaning = tuple[type[CallerError] | type[RequestRejectedError] | type[ProviderFailedError], str, str]
_WRONG_KEY: _Meaning = (CallerError, "AUTH", "Check {key}.")
_WRONG_PLACE: _Meaning = (CallerError, "NOT_FOUND", "Check base_url and the model.")
_BUSY: _Meaning = (ProviderFailedError, "PROVIDER", "Try again later.")
_STATUSES: dict[int, _Meaning] = {
    401: _WRONG_KEY,
    402: (ProviderFailedError, "QUOTA", "The account needs credit."),
    403: _WRONG_KEY,
    404: _WRONG_PLACE,
    405: _WRONG_PLACE,
    408: _BUSY,
    409: _BUSY,
    413: (RequestRejectedError, "TOO_LARGE", "Send fewer or shorter documents."),
    424: (ProviderFailedError, "PROVIDER", "Check the model behind the endpoint."),
    425: _BUSY,
    429: (ProviderFailedError, "RATE_LIMIT", "Send fewer requests at a time, or ask for a higher limit."),
    501: (ProviderFailedError, "PROVIDER", "Check that the server offers reranking."),
}
_CLASSES: dict[int, _Meaning] = {
    2: (ProviderFailedError, "PROTOCOL", "Check that base_url is a rerank endpoint."),
    4: (RequestRejectedError, "BAD_REQUEST", "Check the model, others and the documents' size."),
    5: _BUSY,
}
"""By status // 100, for statuses without a meaning of their own."""


def payload(reply: Reply, endpoint: Endpoint) -> object:
    """The parsed body of a successful reply; errors: all that a status, a body or an `error` member can mean."""
    if reply.status != 200:
        raise _refusal(reply, endpoint)
    name = endpoint.provider.name
    try:
        parsed = orjson.loads(reply.body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        what = "an HTML page" if _MARKUP.match(reply.body) else "nothing" if not reply.body.strip() else "no valid JSON"
        raise ProviderFailedError(
            "PROTOCOL", f"{name} answered 200 with {what}. Check that base_url is a rerank endpoint."
        ) from None
    first = parsed[0] if isinstance(parsed, list) and parsed else parsed
    if isinstance(first, dict) and first.get("error") and len(first) <= 4 and "results" not in first:
        raise ProviderFailedError("PROVIDER", f"{name} answered 200 with an error{_said(reply.body, endpoint)}.")
    return parsed


def _refusal(reply: Reply, endpoint: Endpoint) -> RerankError:
    status, name = reply.status, endpoint.provider.name
    if 300 <= status < 400:
        return CallerError("REDIRECT", f"{name} answered {status}, a redirect. Use the final URL as base_url.")
    kind, code, remedy = _STATUSES.get(status) or _CLASSES.get(status // 100, _CLASSES[2])
    message = f"{name} answered {status}{_said(reply.body, endpoint)}. {remedy.format(key=endpoint.key_name)}"
    if kind is ProviderFailedError:
        return ProviderFailedError(code, message, retryable=status in _RETRYABLE)
    return kind(code, message)


def _said(body: bytes, endpoint: Endpoint) -> str:
    """ " (the provider's words)", or "" when it said nothing that helps."""
    words = error_words(body)
    for secret in (endpoint.key.reveal(), endpoint.options.session_token, endpoint.options.access_key_id):
        if secret:
            words = words.replace(secret, "***")
    return f" ({words[:_MAX_WORDS].rstrip()})" if words else ""


def error_words(body: bytes) -> str:
    """The sentence in an error body of whatever shape, on one printable line; "" when there is none."""
    if not body.strip() or _MARKUP.match(body):
        return ""
    try:
        found = next(_sentences(orjson.loads(body), 0), "")
    except orjson.JSONDecodeError:
        # Cut off, or no JSON at all: the first quoted message, else the plain text.
        quoted = _QUOTED.search(body)
        if quoted is None and body.lstrip()[:1] in b"{[":
            return ""
        found = _unquoted(quoted[1]) if quoted else body[:2000].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in found[:4000]).split()).rstrip(".")


def _unquoted(text: bytes) -> str:
    try:
        return str(orjson.loads(text))
    except orjson.JSONDecodeError:
        return text.decode("utf-8", "replace").strip('"')


def _sentences(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value
    elif depth < _MAX_DEPTH and isinstance(value, Mapping):
        for key in _KEYS:
            if key in value:
                yield from _sentences(value[key], depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, list):
        for item in value[:5]:
            yield from _sentences(item, depth + 1)

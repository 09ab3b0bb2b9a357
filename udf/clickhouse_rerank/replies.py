"""A provider's HTTP reply -> its JSON, or the error it amounts to, in the provider's own words."""

import contextlib
import html
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import orjson

from .endpoints import Endpoint
from .errors import CallerError, ProviderFailedError, RequestRejectedError, RerankError
from .transport import Reply

_MAX_WORDS = 200
_MAX_DEPTH = 6
_QUOTED = re.compile(
    rb'"(?:OriginalMessage|message|msg|Message|detail|error|reason)"\s*:\s*("(?:[^"\\]|\\.){1,2000}")', re.DOTALL
)
_KEYS = (
    "OriginalMessage", "message", "Message", "msg", "reason", "detail", "error", "errors", "error_description", "title",
)  # fmt: skip
_MARKUP = re.compile(r"\s*<")
_MARKED = re.compile(r"<(?:message|title)>\s*([^<]{1,2000})", re.IGNORECASE)
_RETRYABLE = frozenset((408, 409, 425, 429, 499, 500, 502, 503, 504, 529, 530))
_OF_THE_MODEL = frozenset((400, 413, 422, 429, *range(500, 600)))
_ANSWERS = ("results", "data", "rankings", "rerank", "records", "scores", "output")
_COMPLAINTS = ("error", "errors", "message", "Message", "detail")


class _Meaning(NamedTuple):
    """What a reply amounts to: who must act, the code, and what helps."""

    kind: type[CallerError] | type[RequestRejectedError] | type[ProviderFailedError]
    code: str
    remedy: str


_WRONG_KEY = _Meaning(CallerError, "AUTH", "Check {key}.")
_WRONG_PLACE = _Meaning(CallerError, "NOT_FOUND", "Check base_url and the model.")
_NO_CREDIT = _Meaning(ProviderFailedError, "QUOTA", "The account needs credit.")
_LOADING = _Meaning(ProviderFailedError, "LOADING", "Try again when the model is loaded.")
_BUSY = _Meaning(ProviderFailedError, "PROVIDER", "Try again later.")
_TOO_OFTEN = _Meaning(ProviderFailedError, "RATE_LIMIT", "Send fewer requests at a time, or ask for a higher limit.")
_STATUSES: dict[int, _Meaning] = {
    401: _WRONG_KEY,
    402: _NO_CREDIT,
    403: _WRONG_KEY,
    404: _WRONG_PLACE,
    405: _WRONG_PLACE,
    408: _BUSY,
    409: _BUSY,
    413: _Meaning(RequestRejectedError, "TOO_LARGE", "Send fewer or shorter documents."),
    424: _Meaning(ProviderFailedError, "PROVIDER", "Check the model behind the endpoint."),
    425: _BUSY,
    429: _TOO_OFTEN,
    498: _WRONG_KEY,
    499: _BUSY,
    501: _Meaning(ProviderFailedError, "PROVIDER", "Check that the server offers reranking."),
}
_CLASSES: dict[int, _Meaning] = {
    2: _Meaning(ProviderFailedError, "PROTOCOL", "Check that base_url is a rerank endpoint."),
    4: _Meaning(RequestRejectedError, "BAD_REQUEST", "Check the model, others and the documents' size."),
    5: _BUSY,
}
"""By status // 100, for statuses without a meaning of their own."""
_NAMES: tuple[tuple[re.Pattern[str], _Meaning], ...] = (
    (re.compile(r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|ServiceQuotaExceeded"), _TOO_OFTEN),
    (
        re.compile(
            r"ExpiredToken|SignatureDoesNotMatch|UnrecognizedClient|InvalidClientTokenId|InvalidSignature"
            r"|IncompleteSignature|MissingAuthentication|AccessDenied|RequestExpired|RequestTimeTooSkewed|NotAuthorized"
        ),
        _WRONG_KEY,
    ),
)
"""By the name an x-amzn-ErrorType header or a `__type` member gives: its status says less, often only 400."""
_CREDIT = re.compile(r"insufficient.?(?:balance|quota|credit|fund)|arrear|payment.?required|billing", re.IGNORECASE)
"""In the machine-readable code of an error whose status says something else."""


def payload(reply: Reply, endpoint: Endpoint) -> object:
    """The parsed body of a successful reply; errors: all that a status, a body or an `error` member can mean."""
    if reply.status != 200:
        raise _refusal(reply, endpoint)
    name = endpoint.provider.name
    try:
        parsed = orjson.loads(reply.body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        text = reply.body[:1000].decode("utf-8", "replace")
        what = (
            "an HTML page" if _MARKUP.match(text.lstrip("\ufeff")) else "no valid JSON" if text.strip() else "nothing"
        )
        raise ProviderFailedError(
            "PROTOCOL", f"{name} answered 200 with {what}. Check that base_url is a rerank endpoint."
        ) from None
    first = parsed[0] if isinstance(parsed, list) and parsed else parsed
    if isinstance(first, dict) and _complains(first):
        stated = _stated(first)
        meaning = _by_status(stated) if stated else _Meaning(ProviderFailedError, "PROVIDER", "")
        raise _error(meaning, stated, reply, endpoint)
    return parsed


def _complains(answer: Mapping[str, object]) -> bool:
    """Whether an object says that something went wrong, and holds no results."""
    if any(isinstance(answer.get(key), list | dict) for key in _ANSWERS):
        return False
    return any(answer.get(key) for key in _COMPLAINTS)


def _refusal(reply: Reply, endpoint: Endpoint) -> RerankError:
    status, name = reply.status, endpoint.provider.name
    if 300 <= status < 400:
        return CallerError("REDIRECT", f"{name} answered {status}, a redirect. Use the final URL as base_url.")
    body = _object(reply.body)
    stated = reply.headers.get("x-amzn-errortype") or str(body.get("__type", ""))
    for pattern, meaning in _NAMES:
        if pattern.search(stated):
            return _error(meaning, 429 if meaning is _TOO_OFTEN else status, reply, endpoint)
    if 400 <= status < 500 and any(_CREDIT.search(code) for code in _codes(body)):
        return _error(_NO_CREDIT, 0, reply, endpoint)
    estimate_s = _seconds(body.get("estimated_time"))
    if status == 503 and (estimate_s is not None or "model_loading" in _codes(body)):
        return _error(_LOADING, status, reply, endpoint, wait_s=estimate_s)
    meant = status
    original = body.get("OriginalStatusCode")
    if status == 424 and type(original) is int and original in _OF_THE_MODEL:
        meant = original
    return _error(_by_status(meant), meant, reply, endpoint)


def _by_status(status: int) -> _Meaning:
    return _STATUSES.get(status) or _CLASSES.get(status // 100, _CLASSES[2])


def _error(
    meaning: _Meaning, status: int, reply: Reply, endpoint: Endpoint, *, wait_s: float | None = None
) -> RerankError:
    """The error of a meaning; `status`, which may be one that the body names, decides whether to try again."""
    answered = f"{reply.status} with an error" if reply.status == 200 else str(reply.status)
    secrets = (endpoint.key.reveal(), endpoint.options.session_token, endpoint.options.access_key_id)
    words = error_words(reply.body, secrets)[:_MAX_WORDS].rstrip()
    said = f" ({words})" if words else ""
    message = f"{endpoint.provider.name} answered {answered}{said}. {meaning.remedy.format(key=endpoint.key_name)}"
    if meaning.kind is ProviderFailedError:
        return ProviderFailedError(meaning.code, message.rstrip(), retryable=status in _RETRYABLE, wait_s=wait_s)
    return meaning.kind(meaning.code, message)


def _object(body: bytes) -> Mapping[str, object]:
    """The JSON object in a body; empty when it is something else or cut off."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and type(value) is not bool and value >= 0 else None


def _codes(body: Mapping[str, object]) -> Iterator[str]:
    for place in (body, body.get("error")):
        if isinstance(place, Mapping):
            yield from (str(place[key]) for key in ("code", "type", "error_code") if isinstance(place.get(key), str))


def _stated(body: Mapping[str, object]) -> int:
    """The HTTP status that an error in a body names; 0 when it names none."""
    for place in (body.get("error"), body):
        for key in ("code", "status"):
            text = str(place.get(key)) if isinstance(place, Mapping) else ""
            if len(text) == 3 and text.isascii() and text.isdigit() and 400 <= int(text) < 600:
                return int(text)
    return 0


def error_words(body: bytes, secrets: Iterable[str] = ()) -> str:
    """The sentence in an error body of whatever shape, on one printable line, secrets masked; "" for none."""
    text = _said(body)
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return " ".join("".join(c if c.isprintable() else " " for c in text[:4000]).split()).rstrip(".")


def _said(body: bytes) -> str:
    text = body.decode("utf-8", "replace").lstrip("\ufeff")
    if _MARKUP.match(text):
        marked = _MARKED.search(text)
        return html.unescape(marked[1]) if marked else ""
    try:
        return next(_sentences(orjson.loads(body), 0), "")
    except orjson.JSONDecodeError:
        # Cut off, or no JSON at all: the first quoted message, else the plain text.
        quoted = _QUOTED.search(body)
        if quoted is not None:
            return _unquoted(quoted[1])
        return "" if text.lstrip()[:1] in ("{", "[") else text


def _unquoted(text: bytes) -> str:
    try:
        return str(orjson.loads(text))
    except orjson.JSONDecodeError:
        return text.decode("utf-8", "replace").strip('"')


def _sentences(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if depth < _MAX_DEPTH and value.lstrip()[:1] in ("{", "["):
            # An error that passes on the text of another one.
            with contextlib.suppress(orjson.JSONDecodeError):
                yield from _sentences(orjson.loads(value), depth + 1)
        if value.strip():
            yield value
    elif depth < _MAX_DEPTH and isinstance(value, Mapping):
        for key in _KEYS:
            if key in value:
                yield from _sentences(value[key], depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, list):
        for item in value[:5]:
            yield from _sentences(item, depth + 1)

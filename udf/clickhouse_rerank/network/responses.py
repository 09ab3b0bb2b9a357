"""A provider's HTTP response -> its JSON, or the error it amounts to, in the provider's own words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from ..errors import CallerError, ProviderFailedError, RequestRejectedError, RerankError
from ..request.endpoint import Endpoint
from ..types import Call
from .http import Response
from .redaction import error_message

__all__ = ["error_message", "payload"]

_MARKUP = re.compile(r"\s*<")
_RETRYABLE = frozenset((408, 409, 425, 429, 499, 500, 502, 503, 504, 529, 530))
_OF_THE_MODEL = frozenset((400, 413, 422, 429, *range(500, 600)))
_ANSWERS = ("results", "data", "rankings", "rerank", "records", "scores", "output")
_COMPLAINTS = ("error", "errors", "message", "Message", "detail")


class _Meaning(NamedTuple):
    """What a response amounts to: who must act, the code, and what helps."""

    kind: type[CallerError] | type[RequestRejectedError] | type[ProviderFailedError]
    code: str
    remedy: str


_WRONG_KEY = _Meaning(CallerError, "AUTH", "Check {key}.")
_WRONG_PLACE = _Meaning(CallerError, "NOT_FOUND", "Check base_url and the model.")
_WRONG_SCOPE = _Meaning(CallerError, "AUTH", "Check {key} and others.region_name.")
_NO_CREDIT = _Meaning(ProviderFailedError, "QUOTA", "The account needs credit.")
_LOADING = _Meaning(ProviderFailedError, "LOADING", "Try again when the model is loaded.")
_BUSY = _Meaning(ProviderFailedError, "PROVIDER", "Try again later.")
_TOO_LARGE = _Meaning(RequestRejectedError, "TOO_LARGE", "Send fewer or shorter documents.")
_TOO_OFTEN = _Meaning(ProviderFailedError, "RATE_LIMIT", "Send fewer requests at a time, or ask for a higher limit.")
_STATUSES: dict[int, _Meaning] = {
    401: _WRONG_KEY,
    402: _NO_CREDIT,
    403: _WRONG_KEY,
    404: _WRONG_PLACE,
    405: _WRONG_PLACE,
    408: _BUSY,
    409: _BUSY,
    413: _TOO_LARGE,
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
_SAID: tuple[tuple[frozenset[int], re.Pattern[str], _Meaning], ...] = (
    (frozenset((500,)), re.compile(r"too large to process", re.IGNORECASE), _TOO_LARGE),
    (frozenset((400, 404)), re.compile(r"^Endpoint \S+.* not found", re.IGNORECASE), _WRONG_PLACE),
    (frozenset((403,)), re.compile(r"\b(?:region|credential scope|scoped to)\b", re.IGNORECASE), _WRONG_SCOPE),
)
"""By what is said under a status: servers that have one status for everything, or a name that says nothing."""
_KEY_CODES = frozenset(("auth_error", "no_db_connection"))
"""Machine-readable types of a 400 that is about the key: a gateway that cannot look keys up calls a wrong one so."""
_CREDIT = re.compile(r"insufficient.?(?:balance|quota|credit|fund)|arrear|payment.?required|billing", re.IGNORECASE)
"""In the machine-readable code of an error whose status says something else."""


class _Case(NamedTuple):
    """A response, who gave it, and what it answers."""

    response: Response
    endpoint: Endpoint
    call: Call | None

    def words(self) -> str:
        """What it says, without keys and without texts of the call."""
        texts = (self.call.query, *self.call.documents) if self.call else ()
        return error_message(self.response.body, self.endpoint.secrets, texts)


def payload(response: Response, endpoint: Endpoint, call: Call | None = None) -> object:
    """The parsed body of a successful response; errors: all that a status, a body or an `error` member can mean."""
    case = _Case(response, endpoint, call)
    if response.status != 200:
        raise _refusal(case)
    name = endpoint.provider.name
    try:
        parsed = orjson.loads(response.body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        text = response.body[:1000].decode("utf-8", "replace")
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
        raise _error(meaning, stated, case)
    return parsed


def _complains(answer: Mapping[str, object]) -> bool:
    """Whether an object says that something went wrong, and holds no results."""
    if any(isinstance(answer.get(key), list | dict) for key in _ANSWERS):
        return False
    return any(answer.get(key) for key in _COMPLAINTS)


def _refusal(case: _Case) -> RerankError:
    response = case.response
    status, name = response.status, case.endpoint.provider.name
    if 300 <= status < 400:
        return CallerError("REDIRECT", f"{name} answered {status}, a redirect. Use the final URL as base_url.")
    body = _object(response.body)
    stated = response.headers.get("x-amzn-errortype") or str(body.get("__type", ""))
    meaning = _by_name(case, stated, list(_codes(body)))
    if meaning is not None:
        return _error(meaning, 429 if meaning is _TOO_OFTEN else 0, case)
    estimate_s = _seconds(body.get("estimated_time"))
    if status == 503 and (estimate_s is not None or "model_loading" in _codes(body)):
        return _error(_LOADING, status, case, wait_s=estimate_s)
    meant = status
    original = body.get("OriginalStatusCode")
    if status == 424 and type(original) is int and original in _OF_THE_MODEL:
        meant = original
    return _error(_by_status(meant), meant, case)


def _by_name(case: _Case, stated: str, codes: Sequence[str]) -> _Meaning | None:
    """What is meant by the words, the name or the codes of an error, where its status does not say it."""
    status, words = case.response.status, error_message(case.response.body)
    for statuses, pattern, meaning in _SAID:
        if status in statuses and pattern.search(words) and (meaning is not _WRONG_SCOPE or case.endpoint.provider.aws):
            return meaning
    for pattern, meaning in _NAMES:
        if pattern.search(stated):
            return meaning
    if status == 400 and not _KEY_CODES.isdisjoint(codes):
        return _WRONG_KEY
    if 400 <= status < 500 and any(_CREDIT.search(code) for code in codes):
        return _NO_CREDIT
    return None


def _by_status(status: int) -> _Meaning:
    return _STATUSES.get(status) or _CLASSES.get(status // 100, _CLASSES[2])


def _error(meaning: _Meaning, status: int, case: _Case, *, wait_s: float | None = None) -> RerankError:
    """The error of a meaning; `status`, which may be one that the body names, decides whether to try again."""
    response, endpoint = case.response, case.endpoint
    answered = f"{response.status} with an error" if response.status == 200 else str(response.status)
    words = case.words()
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

"""A provider's response -> its JSON, or the error that it amounts to, with the provider's words redacted.

Status and body -> `Meaning` -> error. Rules for the errors of one provider are in its record (`providers.error_rules`);
this module has the rules that hold for all providers.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import orjson

from ..errors import CallerError, ProviderFailedError, RequestRejectedError, RerankError
from ..providers.error_rules import (
    NAME_MEMBERS,
    NO_CREDIT,
    RATE_LIMITED,
    TOO_LARGE,
    WRONG_KEY,
    WRONG_PLACE,
    ErrorRule,
    InnerStatus,
    Meaning,
)
from ..request.endpoint import Endpoint
from ..types import Call
from .redaction import error_message
from .transport import Response

_BUSY = Meaning(ProviderFailedError, "PROVIDER", "Try again later.", retryable=True)
_BROKEN = _BUSY._replace(retryable=False)
_NOT_SAID = Meaning(ProviderFailedError, "PROVIDER", "")
_BY_STATUS: dict[int, Meaning] = {
    401: WRONG_KEY,
    402: NO_CREDIT,
    403: WRONG_KEY,
    404: WRONG_PLACE,
    405: WRONG_PLACE,
    408: _BUSY,
    409: _BUSY,
    413: TOO_LARGE,
    424: Meaning(ProviderFailedError, "PROVIDER", "Check the model behind the endpoint."),
    425: _BUSY,
    429: RATE_LIMITED,
    498: WRONG_KEY,
    499: _BUSY,
    500: _BUSY,
    501: Meaning(ProviderFailedError, "PROVIDER", "Check that the server offers reranking."),
    502: _BUSY,
    503: _BUSY,
    504: _BUSY,
    529: _BUSY,
    530: _BUSY,
}
_BY_CLASS: dict[int, Meaning] = {
    2: Meaning(ProviderFailedError, "PROTOCOL", "Check that base_url is a rerank endpoint."),
    4: Meaning(RequestRejectedError, "BAD_REQUEST", "Check the model, others and the documents' size."),
    5: _BROKEN,
}
"""By status // 100, for statuses without a meaning of their own."""
_CREDIT_NAME = re.compile(r"insufficient.?(?:balance|quota|credit|fund)|payment.?required|billing", re.IGNORECASE)
"""Machine-readable names of errors that are about money, whatever status of the 400s comes with them."""
_RESULT_MEMBERS = ("results", "data", "rankings", "rerank", "records", "scores", "output")
_ERROR_MEMBERS = ("error", "errors", "message", "Message", "detail")
_MARKUP = re.compile(r"\s*<")


def payload(response: Response, endpoint: Endpoint, call: Call | None = None) -> object:
    """The parsed body of a successful response.

    Query and documents of `call` are redacted in errors. Errors: whatever a status, a body or an error inside a
    successful response means, a CallerError, a RequestRejectedError or a ProviderFailedError.
    """
    if response.status != 200:
        raise _refusal(response, endpoint, call)
    parsed = _parsed(response.body, endpoint.provider.name)
    first = parsed[0] if isinstance(parsed, list) and parsed else parsed
    if isinstance(first, dict) and _is_error(first):
        status = _status_in_body(first)
        raise _error(_meaning_of_status(status) if status else _NOT_SAID, response, endpoint, call)
    return parsed


def _parsed(body: bytes, provider: str) -> object:
    try:
        return orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        text = body[:1000].decode("utf-8", "replace").lstrip("\ufeff")
        what = "an HTML page" if _MARKUP.match(text) else "no valid JSON" if text.strip() else "nothing"
        raise ProviderFailedError(
            "PROTOCOL", f"{provider} answered 200 with {what}. Check that base_url is a rerank endpoint."
        ) from None


def _is_error(answer: Mapping[str, object]) -> bool:
    """Whether an object says that something went wrong, and holds no results."""
    if any(isinstance(answer.get(member), list | dict) for member in _RESULT_MEMBERS):
        return False
    return any(answer.get(member) for member in _ERROR_MEMBERS)


def _refusal(response: Response, endpoint: Endpoint, call: Call | None) -> RerankError:
    """The error of a response with another status than 200."""
    status, provider = response.status, endpoint.provider
    if 300 <= status < 400:
        return CallerError("REDIRECT", f"{provider.name} answered {status}, a redirect. Use the final URL as base_url.")
    body = _object(response.body)
    for rule in provider.error_rules:
        if _applies(rule, response, body):
            wait_s = _seconds(body.get(rule.wait_member)) if rule.wait_member else None
            return _error(rule.meaning, response, endpoint, call, wait_s=wait_s)
    if 400 <= status < 500 and any(_CREDIT_NAME.search(name) for name in _names(body, NAME_MEMBERS)):
        return _error(NO_CREDIT, response, endpoint, call)
    return _error(_meaning_of_status(_counted_status(status, body, provider.inner_status)), response, endpoint, call)


def _applies(rule: ErrorRule, response: Response, body: Mapping[str, object]) -> bool:
    if rule.statuses and response.status not in rule.statuses:
        return False
    if rule.wait_member and _seconds(body.get(rule.wait_member)) is None:
        return False
    if rule.name:
        names = [*_names(body, rule.name_members), response.headers.get(rule.name_header, "")]
        if not any(re.search(rule.name, name) for name in names):
            return False
    return not rule.words or re.search(rule.words, error_message(response.body), re.IGNORECASE) is not None


def _counted_status(status: int, body: Mapping[str, object], inner: InnerStatus | None) -> int:
    """The status that decides: that of the server behind the provider, where the body holds one that counts."""
    if inner is None or status != inner.status:
        return status
    stated = body.get(inner.member)
    return stated if type(stated) is int and stated in inner.counted else status


def _meaning_of_status(status: int) -> Meaning:
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, _BY_CLASS[2])


def _error(
    meaning: Meaning, response: Response, endpoint: Endpoint, call: Call | None, *, wait_s: float | None = None
) -> RerankError:
    answered = f"{response.status} with an error" if response.status == 200 else str(response.status)
    texts = (call.query, *call.documents) if call else ()
    words = error_message(response.body, endpoint.secrets, texts)
    quoted = f" ({words})" if words else ""
    remedy = meaning.remedy.format(key=endpoint.key_name)
    message = f"{endpoint.provider.name} answered {answered}{quoted}. {remedy}".rstrip()
    if meaning.error is ProviderFailedError:
        return ProviderFailedError(meaning.code, message, retryable=meaning.retryable, wait_s=wait_s)
    return meaning.error(meaning.code, message)


def _object(body: bytes) -> Mapping[str, object]:
    """The JSON object in a body; empty when it is something else or cut off."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _names(body: Mapping[str, object], members: Sequence[str]) -> Iterator[str]:
    """The machine-readable names of an error: strings in these members of the body, or of its `error` or `detail`."""
    for place in (body, body.get("error"), body.get("detail")):
        if isinstance(place, Mapping):
            yield from (str(place[member]) for member in members if isinstance(place.get(member), str))


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and type(value) is not bool and value >= 0 else None


def _status_in_body(body: Mapping[str, object]) -> int:
    """The HTTP status that an error inside a successful response names; 0 when it names none."""
    for place in (body.get("error"), body):
        for member in ("code", "status"):
            text = str(place.get(member)) if isinstance(place, Mapping) else ""
            if len(text) == 3 and text.isascii() and text.isdigit() and 400 <= int(text) < 600:
                return int(text)
    return 0

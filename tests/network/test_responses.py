"""What a provider's answer amounts to: its JSON, or a sentence with its own words, a code, and whether to retry."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse_rerank.errors import CODES, CallerError, ProviderFailedError, RequestRejectedError, RerankError
from clickhouse_rerank.network import redaction, responses
from clickhouse_rerank.network.transport import Response
from resolved import resolved

SAYS = "no luck today"

SHAPES = (
    {"message": SAYS},
    {"message": SAYS, "id": "3c5b"},
    {"Message": SAYS},
    {"detail": SAYS},
    {"detail": [{"loc": ["body", "top_n"], "msg": SAYS, "type": "greater_than", "input": 0}]},
    {"detail": {"error": SAYS}},
    {"detail": SAYS, "code": "X", "request_id": "r"},
    {"error": SAYS},
    {"error": SAYS, "error_type": "Validation"},
    {"error": [SAYS]},
    {"error": {"message": SAYS, "type": "invalid_request_error", "param": None, "code": 400}},
    {"error": {"code": "400", "message": SAYS}},
    {"error": {"code": 400, "message": SAYS, "status": "INVALID_ARGUMENT", "details": [{"reason": "other"}]}},
    {"error": {"root_cause": [{"type": "t", "reason": "other"}], "type": "t", "reason": SAYS}, "status": 400},
    [{"error": {"code": 400, "message": SAYS}}],
    {"errors": [{"message": SAYS}]},
    {"code": 400, "type": "InternalServerException", "message": SAYS},
    {"code": 20012, "message": SAYS, "data": None},
    {"object": "error", "message": SAYS, "detail": SAYS, "type": "x"},
    {"type": "urn:x", "title": SAYS, "status": 400},
    {"Message": "other", "OriginalMessage": SAYS, "OriginalStatusCode": 400, "LogStreamArn": "arn"},
    {"Message": "other", "OriginalMessage": json.dumps({"code": 400, "message": SAYS}), "OriginalStatusCode": 400},
    {"error": {"message": json.dumps([{"msg": SAYS}])}},
    {"message": None, "error": {"message": ""}, "detail": SAYS},
    SAYS,
)
"""One sentence, in the shapes that rerank APIs put it into."""

BODIES = (
    *(json.dumps(shape).encode() for shape in SHAPES),
    b"\xef\xbb\xbf" + json.dumps({"message": SAYS}).encode(),
    SAYS.encode(),
    f"  {SAYS}.\r\n".encode(),
    "no\tluck\n\x1b[31m\u2028\u202etoday".encode(),
    f"<html><head><title> {SAYS} </title></head><body>x</body></html>".encode(),
    f"<?xml version='1.0'?><R><Error><Code>X</Code><Message>{SAYS}</Message></Error></R>".encode(),
    # Cut off behind the sentence, as a body is that echoes megabytes of input.
    json.dumps({"detail": [{"msg": SAYS, "input": "x" * 1000}]}).encode()[:500],
    json.dumps({"error": {"message": SAYS, "input": ["x" * 1000]}}).encode()[:500],
)


def error(reply: Response, provider: str = "Cohere", **others: object) -> RerankError:
    with pytest.raises(RerankError) as raised:
        responses.payload(reply, resolved(provider, "my-endpoint" if provider == "SageMaker" else "", **others))
    return raised.value


@pytest.mark.parametrize("body", BODIES)
def test_the_sentence_in_an_error_body_is_found(body: bytes) -> None:
    """Whatever its shape; on one line, without control characters and a final dot."""
    said = redaction.error_message(body)
    assert " ".join(said.replace("[31m", "").split()) == SAYS
    assert said.isprintable()
    assert f"Cohere answered 400 ({said}). " in str(error(Response(400, {}, body)))


SILENT = (b"", b" \n", b"{}", b"[]", b"null", b"0", b"{", b'{"error":', b'{"error":{}}', b"<html>x</html>", b"<",
          b'{"data":"x"}', b"[" * 60_000, b'{"error":' * 8_000)  # fmt: skip


@pytest.mark.parametrize("body", SILENT)
def test_a_body_without_a_sentence_adds_nothing(body: bytes) -> None:
    """Empty, cut off, nested beyond reason, or of something else: the status speaks alone."""
    assert str(error(Response(401, {}, body))) == "Rerank: AUTH: Cohere answered 401. Check api_key."


def test_at_most_200_characters_of_a_providers_words() -> None:
    """Of a plain text as of a JSON one, however long."""
    for body in (b"x" * 65_536, json.dumps({"message": "x" * 60_000}).encode(), b'{"message":"' + b"x" * 65_000):
        text = str(error(Response(400, {}, body)))
        assert text.count("x") <= 202


def test_no_secret_comes_back_in_the_providers_words() -> None:
    """Not even where the words are cut, or in an error inside an error."""
    for padding in range(0, 230, 7):
        for body in (
            {"message": "y" * padding + " key server-secret-key"},
            {"error": json.dumps({"message": "y" * padding + "server-secret-key"})},
            {"message": " " * 4000 + "y" * padding + "server-secret-key"},
        ):
            endpoint = resolved("SageMaker", "my-endpoint", "server-secret-key", session_token="TOKEN1")
            reply = Response(403, {}, json.dumps(body).encode())
            with pytest.raises(RerankError) as raised:
                responses.payload(reply, endpoint)
            assert "server-sec" not in str(raised.value)
    text = str(error(Response(403, {}, b"no TOKEN1 of AKID"), "SageMaker", session_token="TOKEN1"))
    assert "(no *** of ***)" in text


STATUSES = (
    (400, RequestRejectedError, "BAD_REQUEST", False),
    (401, CallerError, "AUTH", False),
    (402, ProviderFailedError, "QUOTA", False),
    (403, CallerError, "AUTH", False),
    (404, CallerError, "NOT_FOUND", False),
    (405, CallerError, "NOT_FOUND", False),
    (408, ProviderFailedError, "PROVIDER", True),
    (409, ProviderFailedError, "PROVIDER", True),
    (413, RequestRejectedError, "TOO_LARGE", False),
    (418, RequestRejectedError, "BAD_REQUEST", False),
    (422, RequestRejectedError, "BAD_REQUEST", False),
    (424, ProviderFailedError, "PROVIDER", False),
    (425, ProviderFailedError, "PROVIDER", True),
    (429, ProviderFailedError, "RATE_LIMIT", True),
    (498, CallerError, "AUTH", False),
    (499, ProviderFailedError, "PROVIDER", True),
    (500, ProviderFailedError, "PROVIDER", True),
    (501, ProviderFailedError, "PROVIDER", False),
    (502, ProviderFailedError, "PROVIDER", True),
    (503, ProviderFailedError, "PROVIDER", True),
    (504, ProviderFailedError, "PROVIDER", True),
    (505, ProviderFailedError, "PROVIDER", False),
    (529, ProviderFailedError, "PROVIDER", True),
    (530, ProviderFailedError, "PROVIDER", True),
    (201, ProviderFailedError, "PROTOCOL", False),
    (204, ProviderFailedError, "PROTOCOL", False),
    (206, ProviderFailedError, "PROTOCOL", False),
    (301, CallerError, "REDIRECT", False),
    (307, CallerError, "REDIRECT", False),
    (599, ProviderFailedError, "PROVIDER", False),
)


@pytest.mark.parametrize(("status", "kind", "code", "retryable"), STATUSES)
def test_a_status_means(status: int, kind: type[RerankError], code: str, retryable: bool) -> None:
    """Who must act, under which code, and whether another attempt may succeed."""
    found = error(Response(status, {}, b"{}"))
    assert (type(found), found.code) == (kind, code)
    assert getattr(found, "retryable", False) is retryable
    assert found.code in CODES


AMAZON = (
    (400, "ThrottlingException", ProviderFailedError, "RATE_LIMIT", True),
    (400, "ThrottlingException:http://internal.amazon.com/coral/", ProviderFailedError, "RATE_LIMIT", True),
    (400, "ServiceQuotaExceededException", ProviderFailedError, "RATE_LIMIT", True),
    (400, "ExpiredTokenException", CallerError, "AUTH", False),
    (403, "SignatureDoesNotMatch", CallerError, "AUTH", False),
    (400, "UnrecognizedClientException", CallerError, "AUTH", False),
    (403, "AccessDeniedException", CallerError, "AUTH", False),
    (400, "ValidationException", RequestRejectedError, "BAD_REQUEST", False),
    (429, "ModelNotReadyException", ProviderFailedError, "RATE_LIMIT", True),
    (530, "InternalDependencyException", ProviderFailedError, "PROVIDER", True),
)  # fmt: skip


@pytest.mark.parametrize(("status", "name", "kind", "code", "retryable"), AMAZON)
def test_a_name_says_more_than_its_status(
    status: int, name: str, kind: type[RerankError], code: str, retryable: bool
) -> None:
    """Amazon's names of errors, in the header or in the body."""
    for reply in (
        Response(status, {"x-amzn-errortype": name}, b'{"message":"m"}'),
        Response(status, {}, json.dumps({"__type": f"com.amazon#{name}", "message": "m"}).encode()),
    ):
        found = error(reply, "SageMaker")
        assert (type(found), found.code, getattr(found, "retryable", False)) == (kind, code, retryable)


ORIGINALS = (
    (400, RequestRejectedError, "BAD_REQUEST", False),
    (401, ProviderFailedError, "PROVIDER", False),
    (413, RequestRejectedError, "TOO_LARGE", False),
    (429, ProviderFailedError, "RATE_LIMIT", True),
    (500, ProviderFailedError, "PROVIDER", True),
    (503, ProviderFailedError, "PROVIDER", True),
    ("500", ProviderFailedError, "PROVIDER", False),
    (True, ProviderFailedError, "PROVIDER", False),
    (200, ProviderFailedError, "PROVIDER", False),
)


@pytest.mark.parametrize(("original", "kind", "code", "retryable"), ORIGINALS)
def test_a_failed_dependency_counts_by_its_own_status(
    original: object, kind: type[RerankError], code: str, retryable: bool
) -> None:
    """The container's status inside a 424 counts, but a 401 of its own is no wrong key of ours."""
    body = {"Message": "m", "OriginalMessage": "o", "OriginalStatusCode": original}
    found = error(Response(424, {}, json.dumps(body).encode()), "SageMaker")
    assert (type(found), found.code, getattr(found, "retryable", False)) == (kind, code, retryable)
    assert "SageMaker answered 424 (o). " in str(found)


WORDS = (
    ("LlamaCpp", 500, {"error": {"code": 500, "message": "input (8013 tokens) is too large to process"}}, "TOO_LARGE"),
    ("LlamaCpp", 500, {"error": {"code": 500, "message": "out of memory"}}, "PROVIDER"),
    ("LiteLLM", 400, {"error": {"message": "No connected db.", "type": "no_db_connection", "code": "400"}}, "AUTH"),
    ("LiteLLM", 400, {"error": {"message": "m", "type": "auth_error", "code": "400"}}, "AUTH"),
    ("LiteLLM", 400, {"error": {"message": "m", "type": "invalid_request_error"}}, "BAD_REQUEST"),
    ("SageMaker", 400, {"message": "Endpoint e of account 123456789012 not found."}, "NOT_FOUND"),
    ("SageMaker", 400, {"message": "The Endpoint is busy; try not to hurry"}, "BAD_REQUEST"),
)


@pytest.mark.parametrize(("provider", "status", "body", "code"), WORDS)
def test_words_say_more_than_a_status(provider: str, status: int, body: object, code: str) -> None:
    """Of servers that have one status for everything, or a name that says nothing; and what is final is final."""
    base_url = {"SageMaker": "e"}.get(provider, "http://localhost")
    headers = {"x-amzn-errortype": "ValidationError"} if provider == "SageMaker" else {}
    with pytest.raises(RerankError) as raised:
        responses.payload(Response(status, headers, json.dumps(body).encode()), resolved(provider, base_url))
    assert raised.value.code == code
    assert getattr(raised.value, "retryable", False) is (code == "PROVIDER")


OF_OTHERS = (
    (500, {}, {"message": "input (8013 tokens) is too large to process"}, "PROVIDER"),
    (400, {}, {"error": {"message": "m", "type": "no_db_connection"}}, "BAD_REQUEST"),
    (400, {}, {"message": "Endpoint e of account 123456789012 not found."}, "BAD_REQUEST"),
    (400, {"x-amzn-errortype": "ThrottlingException"}, {"message": "m"}, "BAD_REQUEST"),
    (400, {}, {"__type": "ExpiredTokenException", "message": "m"}, "BAD_REQUEST"),
    (424, {}, {"OriginalStatusCode": 429, "OriginalMessage": "o"}, "PROVIDER"),
    (503, {}, {"error": "x", "estimated_time": 20}, "PROVIDER"),
)


@pytest.mark.parametrize(("status", "headers", "body", "code"), OF_OTHERS)
def test_a_providers_rule_is_for_that_provider_alone(
    status: int, headers: dict[str, str], body: object, code: str
) -> None:
    """What one provider means by an error says nothing of another's: there, the status decides."""
    found = error(Response(status, headers, json.dumps(body).encode()))
    assert found.code == code
    assert getattr(found, "wait_s", None) is None


def test_an_unknown_server_is_read_by_the_rules_of_servers() -> None:
    """Custom may be any of them, behind a gateway or not."""
    for status, body, code in (
        (500, {"message": "input is too large to process"}, "TOO_LARGE"),
        (400, {"error": {"message": "m", "type": "no_db_connection"}}, "AUTH"),
        (503, {"error": {"code": "model_loading", "message": "m"}}, "LOADING"),
        (503, {"error": "x", "estimated_time": 20}, "LOADING"),
    ):
        with pytest.raises(RerankError) as raised:
            responses.payload(Response(status, {}, json.dumps(body).encode()), resolved("Custom", "http://localhost"))
        assert raised.value.code == code


def test_a_signature_for_another_region_names_the_region() -> None:
    """Keys are right then, and what must be corrected stands in others; elsewhere a region is just a word."""
    body = json.dumps({"message": "Credential should be scoped to a valid region."}).encode()
    reply = Response(403, {"x-amzn-errortype": "InvalidSignatureException"}, body)
    assert str(error(reply, "SageMaker")).endswith("others.session_token and others.region_name.")
    assert str(error(reply, "Cohere")).endswith("Check api_key.")


NO_CREDIT = (
    ("Jina", 403, {"detail": "d", "code": "AUTHZ_INSUFFICIENT_BALANCE"}),
    ("DashScope", 400, {"code": "Arrearage", "message": "m"}),
    ("Cohere", 429, {"error": {"message": "m", "type": "insufficient_quota", "code": "insufficient_quota"}}),
)


@pytest.mark.parametrize(("provider", "status", "body"), NO_CREDIT)
def test_a_code_that_is_about_money(provider: str, status: int, body: object) -> None:
    """Under other statuses than 402 too; it is never tried again."""
    found = error(Response(status, {}, json.dumps(body).encode()), provider)
    assert found.code == "QUOTA"
    assert isinstance(found, ProviderFailedError) and not found.retryable


def test_a_rate_limit_of_a_quota_is_not_about_money() -> None:
    """A quota that fills up again is waited for."""
    found = error(Response(429, {}, b'{"code":"Throttling.AllocationQuota","message":"m"}'))
    assert (found.code, found.retryable) == ("RATE_LIMIT", True)  # type: ignore[attr-defined]


LOADING = (
    ("HuggingFace", {"error": "Model x is currently loading", "estimated_time": 20.5}, "LOADING", 20.5),
    ("HuggingFace", {"error": "Model x is currently loading", "estimated_time": 0}, "LOADING", 0.0),
    ("LocalAI", {"error": {"code": "model_loading", "message": "m"}, "loading": {"progress": 1}}, "LOADING", None),
    ("HuggingFace", {"error": "x", "estimated_time": "20"}, "PROVIDER", None),
    ("HuggingFace", {"error": "x", "estimated_time": True}, "PROVIDER", None),
    ("HuggingFace", {"error": "x", "estimated_time": -1}, "PROVIDER", None),
    ("LocalAI", {"error": {"code": "model_loading_failed", "message": "m"}}, "PROVIDER", None),
    ("LocalAI", {"error": "x", "": 20}, "PROVIDER", None),
)


@pytest.mark.parametrize(("provider", "body", "code", "wait_s"), LOADING)
def test_a_model_that_loads_says_when_to_come_back(
    provider: str, body: object, code: str, wait_s: float | None
) -> None:
    """Its estimate is the wait; anything else in its place is a 503 like any other."""
    base_url = "http://localhost" if provider == "LocalAI" else ""
    with pytest.raises(RerankError) as raised:
        responses.payload(Response(503, {}, json.dumps(body).encode()), resolved(provider, base_url))
    found = raised.value
    assert isinstance(found, ProviderFailedError)
    assert (found.code, found.wait_s, found.retryable) == (code, wait_s, True)


ERRORS_IN_200 = (
    ({"error": "Input is too long"}, "PROVIDER"),
    ([{"error": "Input is too long"}], "PROVIDER"),
    ({"errors": [{"message": "Input is too long"}]}, "PROVIDER"),
    ({"code": "InvalidParameter", "message": "Input is too long", "request_id": "r"}, "PROVIDER"),
    ({"code": 50505, "message": "Input is too long", "data": None}, "PROVIDER"),
    ({"detail": "Input is too long", "results": None}, "PROVIDER"),
    ({"error": {"code": 401, "message": "Input is too long"}}, "AUTH"),
    ({"error": {"code": "429", "message": "Input is too long"}}, "RATE_LIMIT"),
    ({"status": 503, "message": "Input is too long"}, "PROVIDER"),
)


@pytest.mark.parametrize(("body", "code"), ERRORS_IN_200)
def test_an_error_with_status_200_is_an_error(body: object, code: str) -> None:
    """In the provider's words, by the status that it names inside, if any."""
    found = error(Response(200, {}, json.dumps(body).encode()))
    assert found.code == code
    assert "Cohere answered 200 with an error (Input is too long)." in str(found)


ANSWERS = (
    {"results": [], "error": None},
    {"results": [{"index": 0}], "message": "a note beside the results"},
    {"results": [], "error": ""},
    [{"index": 0, "score": 0.5, "text": "error"}],
    [[{"label": "error", "score": 1}]],
    {"scores": [0.5], "detail": "fine"},
    {"records": []},
    {},
    [],
    None,
    5,
)


@pytest.mark.parametrize("body", ANSWERS)
def test_any_other_json_is_for_the_wire_to_read(body: object) -> None:
    """Also with a byte order mark in front."""
    text = json.dumps(body).encode()
    assert responses.payload(Response(200, {}, text), resolved("Cohere")) == body
    assert responses.payload(Response(200, {}, b"\xef\xbb\xbf" + text), resolved("Cohere")) == body


NO_JSON = (
    (b"", "nothing"),
    (b" \n", "nothing"),
    (b"<!doctype html><html>", "an HTML page"),
    (b"\xef\xbb\xbf <html>", "an HTML page"),
    (b'{"results":[', "no valid JSON"),
    (b'{"results":[]} {}', "no valid JSON"),
    (b'{"results":[{"index":0,"relevance_score":NaN}]}', "no valid JSON"),
    ('{"results":[]}'.encode("utf-16"), "no valid JSON"),
    (b'{"a":"\xff"}', "no valid JSON"),
    (b"[" * 100_000, "no valid JSON"),
)


@pytest.mark.parametrize(("body", "what"), NO_JSON)
def test_a_body_that_is_no_json_is_named(body: bytes, what: str) -> None:
    """And what to check; nothing of it is repeated."""
    text = str(error(Response(200, {}, body)))
    assert text == f"Rerank: PROTOCOL: Cohere answered 200 with {what}. Check that base_url is a rerank endpoint."


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "code", "status", "OriginalStatusCode", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(json_values | st.binary(max_size=200), st.sampled_from([200, 400, 401, 424, 429, 500]))
def test_no_body_breaks_the_reader(body: object, status: int) -> None:
    """Any JSON and any bytes: a payload or one of our errors, one printable line of bounded length."""
    try:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
    except TypeError:
        return  # text with lone surrogates
    try:
        responses.payload(Response(status, {}, data), resolved("Cohere"))
    except RerankError as found:
        assert str(found).isprintable()
        assert len(str(found)) < 400
    else:
        assert status == 200

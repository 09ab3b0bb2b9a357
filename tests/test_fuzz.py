"""Whatever comes in, only our own errors come out: a target per parser, short and the same in every run.

A longer run of one target: `pytest tests/test_fuzz.py -k base_url --hypothesis-profile=long`.
"""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine_bytes
from asking import KEY, float32
from clickhouse_rerank.admission import retry
from clickhouse_rerank.config.settings import Settings
from clickhouse_rerank.engine.formats import FORMATS
from clickhouse_rerank.engine.framing import Framing
from clickhouse_rerank.errors import CallerError, ProtocolError, RerankError
from clickhouse_rerank.network import redaction, responses
from clickhouse_rerank.network.transport import Response
from clickhouse_rerank.providers import PROVIDERS
from clickhouse_rerank.providers.base_url import parse_url, request_url
from clickhouse_rerank.providers.wires import WIRES, MalformedError
from clickhouse_rerank.request.endpoint import resolve
from clickhouse_rerank.request.others import parse_object, parse_options
from clickhouse_rerank.types import Call, Row

settings.register_profile("long", max_examples=100_000, derandomize=False, deadline=None)


def short(examples: int) -> settings:
    """So many examples, the same in every run; a profile given by name goes before it."""
    if settings.get_current_profile_name() == "long":
        return settings.get_profile("long")
    return settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


# --- what the engine sends

ROW = Row("the query", ["one", "two\n", ""], 2, "Cohere", "http://127.0.0.1/", "k", '{"model":"m"}')
PIECES = st.sampled_from(
    [b"", b"\n", b"\t", b"\\", b"'", b'"', b"[", b"]", b"{", b"}", b",", b"\0", b"\xff", b"\xed\xa0\x80", b"1", b"-1"]
    + [
        b"9" * 30,
        b"\x80" * 10,
        b"\xff\xff\xff\xff\x07",
        b"null",
        b"NaN",
        b'{"a":' * 200,
        b"1\n%s\n" % (b"[" * 2000),
        b"\\ud800",
    ]
    + [engine_bytes.argument(ROW, name) for name in FORMATS]
)
BYTES = st.one_of(st.binary(max_size=40), PIECES, st.lists(PIECES, max_size=8).map(b"".join))


@st.composite
def bent(draw: st.DrawFn, name: str) -> bytes:
    """Chunks as the engine sends them, with a few places overwritten, cut or stuffed."""
    data = engine_bytes.chunk([ROW] * draw(st.integers(0, 3)), name) * draw(st.integers(1, 2))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(BYTES) + data[at + draw(st.integers(0, 12)) :]
    return data


def feed(name: str, data: bytes, cuts: list[int]) -> list[bytes]:
    """The rows that framing finds in the data, which comes in pieces."""
    framing, rows, start = Framing(FORMATS[name]), [], 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        rows += [item for item in framing.feed(data[start:cut]) if isinstance(item, bytes)]
        start = cut
    assert framing.between_chunks in (True, False)
    return rows


@pytest.mark.fault("F51", "F52")
@pytest.mark.parametrize("name", FORMATS)
def test_fuzz_chunks_and_rows(name: str) -> None:
    """Bytes on stdin are rows, an error of the stream or an error of a row; where they are cut does not matter."""

    @short(600)
    @given(st.one_of(bent(name), BYTES), st.lists(st.integers(0, 10_000), max_size=4))
    def target(data: bytes, cuts: list[int]) -> None:
        try:
            rows = feed(name, data, [])
        except ProtocolError:
            with pytest.raises(ProtocolError):
                feed(name, data, cuts)
            return
        assert feed(name, data, cuts) == rows
        for raw in rows:
            with contextlib.suppress(CallerError):
                check(FORMATS[name].decode(raw))

    def check(row: Row) -> None:
        texts = (row.query, *row.documents, row.provider, row.base_url, row.api_key, row.others)
        assert all(type(text) is str for text in texts)
        assert type(row.top_k) is int
        ranking = [(i, math.nan) for i in range(len(row.documents))]
        FORMATS[name].encode(row.documents, ranking)

    target()


# --- what the caller writes

WORDS = sorted({key for record in PROVIDERS.values() for key in record.options} | {"on_error", "fallback", "nobody"})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["sigmoid", "none", "empty", "passthrough", "http://127.0.0.1", "us-east-1", "\ud800", "a/../b"]),
)
VALUES = st.recursive(
    SCALARS, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(st.text(max_size=3), v, max_size=3))
)
MEMBERS = st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=4)


@st.composite
def written(draw: st.DrawFn) -> str:
    """JSON text, more or less."""
    text = draw(st.one_of(MEMBERS.map(json.dumps), VALUES.map(json.dumps), st.text(max_size=30)))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(text)))
        bits = st.sampled_from(["", "{", "}", '"', "\\", ",", ":", "1e999", "NaN", "9" * 5000, '{"a":' * 5000])
        text = text[:at] + draw(bits) + text[at + draw(st.integers(0, 5)) :]
    return text


@pytest.mark.fault("F58")
@pytest.mark.parametrize("provider", sorted({record.name for record in PROVIDERS.values()}))
def test_fuzz_others(provider: str) -> None:
    """Any text is options or BAD_OTHERS, and so is any object where the whole call is resolved."""
    record = PROVIDERS[provider.lower()]

    @short(30)
    @given(written())
    def target(text: str) -> None:
        with contextlib.suppress(CallerError):
            parse_options(parse_object(text), record)
        url = "" if record.url or record.key == "none" else "https://192.0.2.1/"
        url = "endpoint-name" if record.aws is not None else url
        with contextlib.suppress(CallerError):
            endpoint = resolve(provider, url, "" if record.key == "none" else KEY, text, Settings())
            assert KEY not in repr(endpoint)

    target()


HOSTS = [
    "a.example",
    "b.example",
    "127.0.0.1",
    "[::1]",
    "0x7f.1",
    "localhost",
    "EXAMPLE.com",
    "a..b",
    "x_y.z",
    "1.2.3.4.",
    "-",
]
TAILS = [
    "",
    "/",
    "/v1",
    "/v1/rerank/",
    "//",
    "/..",
    "/%2e",
    "?q",
    "#f",
    "\\@b.example/",
    "@b.example/",
    ":80",
    ":",
    " ",
]
URLS = st.one_of(
    st.text(max_size=30),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["http://", "https://", "https://", "HTTP://", "//", "ftp://", "https:\\\\", "\thttps://"]),
        st.one_of(st.sampled_from(HOSTS), st.text(st.characters(max_codepoint=0x2FFF), max_size=8)),
        st.sampled_from(["", "", "", ":80", ":443", ":0", ":65536", ":8080", "@b.example", "\r\n", "\0", "\uff0e"]),
        st.lists(st.sampled_from(TAILS), max_size=2).map("".join),
    ),
)


PATHS = sorted({record.path for record in PROVIDERS.values() if "{" not in record.path})


@pytest.mark.fault("F61", "F62")
def test_fuzz_base_url() -> None:
    """Any text is BAD_URL, or a URL whose host other parsers read as the same."""
    accepted = 0

    @short(1500)
    @given(URLS, st.sampled_from(PATHS))
    def target(text: str, path: str) -> None:
        nonlocal accepted
        try:
            url = parse_url(text)
        except CallerError as error:
            assert error.code == "BAD_URL"
            return
        accepted += 1
        sent = str(request_url(url, path))
        assert sent.isascii() and sent.isprintable() and not set(sent) & set("\\?# ")
        parts = urlsplit(sent)
        assert (parts.hostname, parts.username, parts.query, parts.fragment) == (url.host.strip("[]"), None, "", "")
        assert (parts.port or {"http": 80, "https": 443}[parts.scheme]) == url.port
        assert parse_url(sent).host == url.host

    target()
    assert accepted > 50


# --- what a provider answers

NAMES = (
    "results", "data", "rankings", "rerank", "records", "scores", "output", "predictions", "index", "relevance_score",
    "score", "logit", "relevanceScore", "label", "document", "error", "errors", "message", "detail", "msg", "code",
    "status", "OriginalMessage", "OriginalStatusCode", "__type", "id", "estimated_time", "inference_status", "tokens",
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-2, 5),
    st.floats(-2, 2),
    st.sampled_from([1e39, -0.0, 2**31, 2**70, 1e308, 0.5, True, None, "1", "0.5"]),
)
ITEMS = st.dictionaries(st.sampled_from(NAMES), st.one_of(NUMBERS, st.text(max_size=4)), max_size=4)
ANSWERS = st.recursive(
    st.one_of(NUMBERS, ITEMS, st.text(max_size=6)),
    lambda v: st.one_of(st.lists(v, max_size=4), st.dictionaries(st.sampled_from(NAMES), v, max_size=3)),
    max_leaves=12,
)
LIKELY = st.lists(
    st.fixed_dictionaries({"index": st.integers(0, 3), "relevance_score": NUMBERS, "score": NUMBERS}), max_size=4
).map(lambda items: {"results": items, "data": items, "rankings": items})
ENDPOINT = resolve("Cohere", "https://192.0.2.1/", KEY, "", Settings())


@pytest.mark.fault("F22", "F31", "F34", "F35")
@pytest.mark.parametrize("wire", WIRES)
def test_fuzz_the_scores_in_an_answer(wire: str) -> None:
    """Any JSON is an error, or for each position at most one finite Float32 score."""
    call = Call("q", ["a", "b", "c"], 2, "m", {})

    @short(200)
    @given(st.one_of(ANSWERS, LIKELY))
    def target(payload: Any) -> None:
        try:
            scores = WIRES[wire].scores(payload, call)
        except (MalformedError, RerankError):
            return
        positions = [at for at, _ in scores]
        assert len(set(positions)) == len(positions) >= 1
        assert set(positions) <= {0, 1, 2}
        assert all(type(score) is float and math.isfinite(float32(score)) for _, score in scores)

    target()


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """An answer's body: JSON, cut or bent JSON, markup, anything; now and then with the key in it."""
    body = draw(
        st.one_of(
            st.one_of(ANSWERS, LIKELY).map(lambda value: json.dumps(value).encode()),
            st.sampled_from([b"<p><title>No</title>", b"\xef\xbb\xbf{}", b"[" * 9999, b'{"error":' * 999, b"\x1f\x8b"]),
            st.binary(max_size=40),
            st.text(max_size=30).map(lambda text: json.dumps({"message": f"{KEY} {text} {KEY}"}).encode()),
        )
    )  # fmt: skip
    at = draw(st.integers(0, len(body)))
    return body[:at] + draw(st.sampled_from([b"", b"", b"", b"\\", b'"', b"\xff", KEY.encode()])) + body[at:]


@pytest.mark.fault("F2", "F21", "F22")
def test_fuzz_an_answer_and_its_words() -> None:
    """Any status with any body is JSON or one of our errors, on one short printable line without the key."""
    headers = st.dictionaries(
        st.sampled_from(["x-amzn-errortype", "retry-after", "date", "content-type"]), st.text(max_size=12), max_size=2
    )

    @short(1200)
    @given(st.sampled_from([200, 200, 204, 302, 400, 401, 404, 424, 429, 500, 503, 529, 599]), headers, bodies())
    def target(status: int, headers: dict[str, str], body: bytes) -> None:
        words = redaction.error_message(body)
        assert words.isprintable()
        try:
            responses.payload(Response(status, headers, body), ENDPOINT)
        except RerankError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 1000
            assert KEY not in str(error)
        else:
            assert status == 200

    target()


HEADERS = ("retry-after-ms", "retry-after", "x-ratelimit-reset", "ratelimit", "date")
NUMERALS = st.one_of(st.integers(-99, 99_999), st.sampled_from(["", "9" * 400, "1e400", "\u0661", "-0", "inf", "1_0"]))
TIMES = st.one_of(
    st.text(max_size=30),
    st.floats().map(str),
    NUMERALS.map(str),
    st.builds("{}, {} {} {} {}:00:{} {}".format, st.sampled_from(["Thu", ""]), NUMERALS, st.sampled_from(["Jan", "x"]),
              NUMERALS, NUMERALS, NUMERALS, st.sampled_from(["GMT", "-2359", "+99999999", ""])),
    st.builds('"a";r=0;t={}'.format, NUMERALS),
    st.just("Thu, 01 Jan 0001 00:00:00 -2359"),
)  # fmt: skip


@pytest.mark.fault("F10")
def test_fuzz_when_to_come_back() -> None:
    """Any headers give a finite time of zero or more, or nothing."""

    @short(1200)
    @given(st.dictionaries(st.sampled_from(HEADERS), TIMES), st.floats(0, 4e9))
    def target(headers: dict[str, str], now_s: float) -> None:
        seconds = retry.hinted_s(headers, now_s)
        assert seconds is None or (type(seconds) is float and 0 <= seconds < math.inf)

    target()

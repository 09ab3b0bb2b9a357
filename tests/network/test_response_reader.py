"""Bytes of a response in pieces of any size -> status, headers, body; what cannot be read in one way is refused."""

from __future__ import annotations

import gc
import weakref

import pytest

from clickhouse_rerank.network.response_reader import (
    SMALL_BYTES,
    CompressedError,
    MalformedError,
    ResponseReader,
    TooLargeError,
)

CAP = 200_000
OK = b"HTTP/1.1 200 OK\r\n"
SIZES = [1, 2, 7, 1000, 1 << 20]


def read(data: bytes, size: int, *, eof: bool = False) -> ResponseReader:
    """A reader that was fed the data in pieces of this size, and perhaps the end of the connection."""
    reader = ResponseReader(CAP)
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    if eof:
        reader.feed_eof()
    return reader


COMPLETE = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "no body": (OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello", True),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n", b"hello", True),
    "asks to close": (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "interim responses": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
        + OK
        + b"Content-Length: 5\r\n\r\nhello",
        b"hello",
        True,
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", COMPLETE)
def test_a_response_is_read_whole(name: str, size: int) -> None:
    """Whatever pieces it comes in, its end is seen with its last byte, and whether the connection can be kept."""
    data, body, is_reusable = COMPLETE[name]
    reader = read(data, size)
    assert (reader.is_complete, reader.body, reader.is_reusable) == (True, body, is_reusable)
    early = read(data[:-1], size)
    assert not early.is_complete


@pytest.mark.parametrize("size", SIZES)
def test_a_body_without_a_length_ends_with_the_connection(size: int) -> None:
    """And only then; a body that announced its length does not."""
    reader = read(OK + b"\r\nhello", size)
    assert not reader.is_complete
    assert reader.feed_eof() and reader.body == b"hello" and not reader.is_reusable
    for head in (b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n"):
        assert not read(OK + head + b"\r\n5\r\nhe", size).feed_eof()


@pytest.mark.parametrize("extra", [OK + b"Content-Length: 0\r\n\r\n", b"junk", b"\r\n" + OK])
@pytest.mark.parametrize("size", SIZES)
def test_bytes_behind_a_response_are_not_used(extra: bytes, size: int) -> None:
    """They change nothing of the response, and the connection cannot be kept."""
    reader = read(OK + b"Content-Length: 5\r\n\r\nhello" + extra, size)
    assert (reader.is_complete, reader.status, reader.body) == (True, 200, b"hello")
    if size >= len(extra) + 100:
        assert not reader.is_reusable


MALFORMED = {
    "no HTTP": b'{"results":[]}',
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a bad chunk behind a good one": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\nzz\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n",
    "a space in a name": OK + b"A b: c\r\n\r\n",
    "a NUL in a value": OK + b"A: \0\r\n\r\n",
    "a head without end": OK + b"A: b\r\n" * 20_000,
    "a giant header": OK + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
    "a giant head that ends": OK + b"A: bcdefgh\r\n" * 10_000 + b"Content-Length: 0\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw",
}


@pytest.mark.parametrize("size", [7, 1 << 20])
@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_response_is_refused_when_it_is_seen(name: str, size: int) -> None:
    """Not at the end, which may never come."""
    with pytest.raises(MalformedError):
        read(MALFORMED[name], size)


@pytest.mark.parametrize("size", [1000, 1 << 20])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_cap_is_refused(announced: bool, size: int) -> None:
    """Before a byte of it is read where its length is announced; a body as large as the cap is read."""
    head = OK + b"Content-Length: %d\r\n\r\n" if announced else OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n"
    with pytest.raises(TooLargeError):
        read(head % (CAP + 1) + (b"" if announced else b"x" * (CAP + 1)), size)
    assert read(head % CAP + b"x" * CAP + (b"" if announced else b"\r\n0\r\n\r\n"), size).body == b"x" * CAP


@pytest.mark.parametrize("size", SIZES[2:])
def test_of_an_error_the_beginning_is_enough(size: int) -> None:
    """64 KiB of it; then the response counts as complete, and its connection is not kept."""
    reader = read(b"HTTP/1.1 500 Oh\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 70_000, size)
    assert (reader.is_complete, reader.body, reader.is_reusable) == (True, b"x" * 65_536, False)
    short = read(b"HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nhello", size)
    assert (short.is_complete, short.body, short.is_reusable) == (True, b"hello", True)


@pytest.mark.parametrize(
    "encodings", [b"Content-Encoding: gzip\r\n", b"Content-Encoding: identity\r\nContent-Encoding: br\r\n"]
)
def test_a_compressed_body_is_not_read(encodings: bytes) -> None:
    """It is an error; of an error's response, status and headers still count."""
    with pytest.raises(CompressedError):
        read(OK + encodings + b"Content-Length: 5\r\n\r\n", 1 << 20)
    reader = read(b"HTTP/1.1 429 No\r\nRetry-After: 1\r\n" + encodings + b"Content-Length: 5\r\n\r\nhello", 1 << 20)
    assert (reader.is_complete, reader.status, reader.headers["retry-after"], reader.body) == (True, 429, "1", b"")


def test_a_large_body_says_what_it_may_grow_to() -> None:
    """Nothing while it is small; then its announced length, or else the cap."""
    small, large = b"x" * SMALL_BYTES, b"x" * (SMALL_BYTES + 1)
    assert read(OK + b"Content-Length: 150000\r\n\r\n" + small, 1 << 20).reservation == 0
    assert read(OK + b"Content-Length: 150000\r\n\r\n" + large, 1 << 20).reservation == 150_000
    assert read(OK + b"\r\n" + large, 1 << 20).reservation == CAP


def test_headers_are_found_in_lower_case() -> None:
    """Of a repeated header the first value counts; a value that is not ASCII is read as Latin-1."""
    headers = read(OK + b"X-A: 1\r\nx-a: 2\r\nX-B: caf\xe9\r\nContent-Length: 0\r\n\r\n", 1 << 20).headers
    assert headers == {"x-a": "1", "x-b": "café", "content-length": "0"}


def test_a_reader_that_is_closed_needs_no_search_for_garbage() -> None:
    """The worker searches rarely: a body that only a search frees would stay."""
    gc.disable()
    try:
        reader = read(OK + b"Content-Length: 5\r\n\r\nhello", 1 << 20)
        reader.close()
        gone = weakref.ref(reader)
        del reader
        assert gone() is None
    finally:
        gc.enable()


def test_a_trailer_is_no_header() -> None:
    """It comes behind the body, and says nothing about it."""
    data = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Encoding: gzip\r\nRetry-After: 9\r\n\r\n"
    for size in SIZES:
        reader = read(data, size)
        assert (reader.is_complete, reader.body, reader.headers) == (True, b"hello", {"transfer-encoding": "chunked"})


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "an extension of a chunk": (CHUNKED + b"5;", b"a"),
    "zeros of a chunk's length": (CHUNKED, b"00000000001\r\nx\r\n"),
    "a trailer's name": (CHUNKED + b"5\r\nhello\r\n0\r\n", b"a"),
    "a trailer's value": (CHUNKED + b"5\r\nhello\r\n0\r\nA: ", b"a"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\n", b"A: b\r\n"),
}


@pytest.mark.fault("F24")
@pytest.mark.parametrize("size", [999, 60_000])
@pytest.mark.parametrize("name", ENDLESS)
def test_what_has_no_end_beside_the_body_is_refused(name: str, size: int) -> None:
    """Although each piece of it is well-formed: it costs time, and some of it memory, and the cap counts the body."""
    begin, piece = ENDLESS[name]
    with pytest.raises(MalformedError):
        read(begin + piece * (1_000_000 // len(piece)), size)


def test_a_body_in_chunks_of_two_bytes_is_read() -> None:
    """However large it is."""
    body = b"2\r\nab\r\n" * 50_000 + b"0\r\n\r\n"
    assert read(CHUNKED + body, 1000).body == b"ab" * 50_000


def test_bytes_behind_the_answer_of_a_proxy_are_seen() -> None:
    """Before TLS, a host says nothing: what comes is not from it."""
    for more, is_reusable in ((b"", True), (b"x", False)):
        reader = ResponseReader(0, ends_with_head=True)
        reader.feed(OK + b"\r\n" + more)
        assert (reader.is_complete, reader.is_reusable) == (True, is_reusable)

"""The bytes of one HTTP/1.1 response -> status, headers and body, by llhttp's strict parser. Pure: no socket, no clock.

The limits are here: a head of 64 KiB, interim responses (1xx) included, which are passed over; a body up to a cap, and
of an error's body the first 64 KiB; as much framing as a body in small chunks needs. Trailers are not used. Bytes
behind the end of a response are not used either: they only make the connection unusable.
"""

import mmap

import httptools

_MAX_HEAD_BYTES = 64 << 10
_HEADER_EXTRA_BYTES = 4  # colon, space, CR LF
_MAX_ERROR_BYTES = 64 << 10
_MAX_FRAMING = 4
"""Bytes that are not body, for each byte of the body. What exceeds it has no end: extensions of chunks, trailers."""
SMALL_BYTES = 64 << 10
"""A body up to this size needs no reservation of memory."""


class MalformedError(Exception):
    """The bytes are no HTTP response, or one whose end can be read in two ways."""


class TooLargeError(Exception):
    """The body exceeds the cap."""


class CompressedError(Exception):
    """The body is compressed, although the request asked for none of it."""


class ResponseReader:
    """Reads one response.

    `max_body_bytes` bounds the body of a status below 300. `ends_with_head`: it has no body, as the answer to CONNECT.
    """

    __slots__ = (
        "__weakref__",
        "_body",
        "_cap",
        "_ends_with_head",
        "_fed_bytes",
        "_header_bytes",
        "_in_head",
        "_length",
        "_parser",
        "body_bytes",
        "has_begun",
        "headers",
        "is_complete",
        "is_reusable",
        "status",
    )

    def __init__(self, max_body_bytes: int, *, ends_with_head: bool = False) -> None:
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._cap = max_body_bytes
        self._ends_with_head = ends_with_head
        self._header_bytes = 0
        self._fed_bytes = 0
        self._in_head = True
        self._length: int | None = None
        self._body: bytes | bytearray | mmap.mmap = b""
        self.body_bytes = 0
        """Of the body so far."""
        self.has_begun = False
        """Whether any byte has come."""
        self.is_complete = False
        self.is_reusable = False
        """Whether the connection can carry another request; known once the response is complete."""
        self.status = 0
        self.headers: dict[str, str] = {}

    @property
    def body(self) -> bytes:
        """The body, of an error at most its first 64 KiB."""
        if isinstance(self._body, mmap.mmap):
            return self._body[: self.body_bytes]
        return bytes(self._body if self.status < 300 else self._body[:_MAX_ERROR_BYTES])

    @property
    def reservation(self) -> int:
        """Bytes that the body may grow to; 0 while it is small, or known to stay so."""
        if self.status >= 300 or self.body_bytes <= SMALL_BYTES:
            return 0
        return self._length or self._cap

    def make_room(self) -> None:
        """Take the memory for a large body, which was reserved; errors: OSError.

        Not from malloc: it would keep much of what is given back, and a body that grows there is for moments in memory
        twice. Pages that the body does not reach cost nothing.
        """
        room = mmap.mmap(-1, max(self.reservation, self.body_bytes))
        room[: self.body_bytes] = self._body
        self._body = room

    def feed(self, data: bytes) -> None:
        """Take bytes in. Errors: MalformedError, TooLargeError, CompressedError; nothing more may be fed then."""
        self.has_begun = True
        self._fed_bytes += len(data)
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.is_complete:
                raise MalformedError from None
            self.is_reusable = False
        framing = self._fed_bytes - self.body_bytes
        is_endless = not self.is_complete and framing > _MAX_HEAD_BYTES + _MAX_FRAMING * self.body_bytes
        if is_endless or self._header_bytes > _MAX_HEAD_BYTES:
            raise MalformedError
        if not (self._in_head or self._ends_with_head):
            self._check_body()

    def close(self) -> None:
        """Nothing more will be fed. Parser and reader hold each other: else only the garbage collector frees them."""
        self._parser = None

    def feed_eof(self) -> bool:
        """The connection has ended: whether the response is complete by that."""
        if not self._in_head and self._length is None and "transfer-encoding" not in self.headers:
            self.is_complete = True
        return self.is_complete

    def _check_body(self) -> None:
        is_error = self.status >= 300
        if self.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            if not is_error:
                raise CompressedError
            self._body = b""
            self._cut()
        elif is_error:
            if self.body_bytes >= _MAX_ERROR_BYTES:
                self._cut()
        elif self.body_bytes > self._cap or (self._length or 0) > self._cap:
            raise TooLargeError

    def _cut(self) -> None:
        """Take the response as complete, although its body may go on."""
        self.is_reusable = self.is_reusable and self.is_complete
        self.is_complete = True

    # --- called by the parser

    def on_message_begin(self) -> None:
        """A response, an interim response, or bytes that nobody asked for begin."""
        if self.is_complete:
            self.is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; of a repeated one the first counts, except that encodings add up."""
        if self.is_complete:
            return
        self._header_bytes += len(name) + len(value) + _HEADER_EXTRA_BYTES
        if not self._in_head:
            return  # a trailer
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key == "content-encoding" and key in self.headers:
            self.headers[key] += f",{text}"
        self.headers.setdefault(key, text)

    def on_headers_complete(self) -> None:
        """Status and headers are known."""
        if self.is_complete:
            return
        assert self._parser is not None
        self.status = self._parser.get_status_code()
        length = self.headers.get("content-length", "")
        self._length = int(length) if length.isdecimal() else None
        # An interim response is passed over: the head of the final one is still to come.
        self._in_head = 100 <= self.status < 200
        if self._ends_with_head and not self._in_head:
            self.is_complete = self.is_reusable = True

    def on_body(self, piece: bytes) -> None:
        """A piece of the body, or what a proxy sends behind its head."""
        if self.is_complete:
            self.is_reusable = False
        else:
            # Most bodies come in one piece. The pieces of others are not kept beside each other: that would cost the
            # memory of the body twice.
            if isinstance(self._body, mmap.mmap):
                end = self.body_bytes + len(piece)
                if end <= len(self._body):  # else the body exceeds the cap, which is seen when all of `data` is read
                    self._body[self.body_bytes : end] = piece
            elif not self._body:
                self._body = piece
            elif isinstance(self._body, bytearray):
                self._body += piece
            else:
                self._body = bytearray(self._body + piece)
            self.body_bytes += len(piece)

    def on_message_complete(self) -> None:
        """The response, or an interim one, ends."""
        if self._in_head:
            self.headers = {}
            self._header_bytes = 0
        elif not self.is_complete:
            assert self._parser is not None
            self.is_complete = True
            self.is_reusable = self._parser.should_keep_alive()

"""RowBinary: LEB128 lengths and counts, little-endian UInt32 and Float32. No session setting changes its bytes."""

import struct
from collections.abc import Sequence

from ...errors import CallerError, ProtocolError
from ...types import Ranking, Row

NOISE: frozenset[bytes] = frozenset()
EMPTY = b"\x00"

_MAX_LENGTH = 1 << 31
_TEXTS_AFTER_TOP_K = 4
_UINT32 = struct.Struct("<I")
_FLOAT32 = struct.Struct("<f")


def _varint(buffer: bytes | bytearray, at: int) -> tuple[int, int]:
    """(value, position after it); the position is -1 if the buffer ends inside the value."""
    if at + 1 < len(buffer) and buffer[at + 1] < 0x80 <= buffer[at]:
        return buffer[at] & 0x7F | buffer[at + 1] << 7, at + 2
    value = shift = 0
    for position in range(at, min(at + 10, len(buffer))):
        byte = buffer[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > _MAX_LENGTH:
                break
            return value, position + 1
        shift += 7
    else:
        if len(buffer) - at < 10:
            return 0, -1
    raise ProtocolError("A length in the input exceeds 2 GiB. Compare <format> in the registration with --format.")


def _skip_texts(buffer: bytes | bytearray, at: int, left: int) -> tuple[int, int]:
    """Skip up to `left` texts from `at` on: (position after the last complete one, texts left)."""
    size = len(buffer)
    while left and at < size:
        length, after = buffer[at], at + 1
        if length >= 0x80:
            length, after = _varint(buffer, at)
            if after < 0:
                break
        if after + length > size:
            break
        at = after + length
        left -= 1
    return at, left


def end_of_row(buffer: bytearray, start: int, progress: list[int]) -> int:
    """The position after the row that begins at `start`, or -1 if its end has not arrived.

    `progress` belongs to this row and starts empty; it holds [position, phase, texts left in the phase], so that a
    large row that arrives in pieces is walked once. Phases: 0 query, 1 documents, 2 the texts after top_k.
    """
    at, phase, left = progress or (start, 0, 1)
    while True:
        at, left = _skip_texts(buffer, at, left)
        progress[:] = (at, phase, left)
        if left:
            return -1
        if phase == 0:
            count, after = _varint(buffer, at)
            if after < 0:
                return -1
            at, phase, left = after, 1, count
        elif phase == 1:
            if at + _UINT32.size > len(buffer):
                return -1
            at, phase, left = at + _UINT32.size, 2, _TEXTS_AFTER_TOP_K
        else:
            return at


def _texts(raw: bytes, at: int, count: int) -> tuple[list[str], int]:
    """The `count` texts from a position on, and the position after them."""
    texts: list[str] = []
    for _ in range(count):
        length = raw[at]
        at += 1
        if length >= 0x80:
            length, at = _varint(raw, at - 1)
        texts.append(raw[at : at + length].decode("utf-8", "surrogateescape"))
        at += length
    return texts, at


def decode(raw: bytes) -> Row:
    """The bytes of one row -> Row. Errors: INPUT."""
    (query,), at = _texts(raw, 0, 1)
    count, at = _varint(raw, at)
    documents, at = _texts(raw, at, count)
    (top_k,) = _UINT32.unpack_from(raw, at)
    (provider, base_url, api_key, others), at = _texts(raw, at + _UINT32.size, _TEXTS_AFTER_TOP_K)
    if at != len(raw):
        raise CallerError("INPUT", "A row does not end where it should. Compare <format> with --format.")
    return Row(query, documents, top_k, provider, base_url, api_key, others)


def _length(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(documents: Sequence[str], ranking: Ranking) -> bytes:
    """The ranked documents of one row -> bytes."""
    out = [_length(len(ranking))]
    for i, score in ranking:
        text = documents[i].encode("utf-8", "surrogateescape")
        out += (_UINT32.pack(i), _length(len(text)), text, _FLOAT32.pack(score))
    return b"".join(out)

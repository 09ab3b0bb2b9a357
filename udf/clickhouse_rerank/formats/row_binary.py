"""RowBinary: LEB128 lengths and counts, little-endian UInt32 and Float32; byte exact and immune to session settings."""

import struct
from collections.abc import Sequence

from ..errors import CallerError, ProtocolError
from ..model import Ranking, Row

NOISE: frozenset[bytes] = frozenset()
EMPTY = b"\x00"

_MAX_LENGTH = 1 << 31
_TEXTS_AFTER_TOP_K = 4
_UINT32 = struct.Struct("<I")
_FLOAT32 = struct.Struct("<f")


def _varint(buffer: bytes | bytearray, at: int) -> tuple[int, int]:
    """(value, position behind it); position -1 when the buffer ends inside."""
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


def end_of_row(buffer: bytearray, start: int, progress: list[int]) -> int:
    """Where the row that begins at `start` ends, or -1 until more bytes are there.

    `progress` belongs to this row and starts empty; it holds [position, phase, texts left in the phase], so that a
    large row that arrives in pieces is walked once. Phases: 0 query, 1 documents, 2 what follows top_k.
    """
    at, phase, left = progress or (start, 0, 1)
    while True:
        progress[:] = (at, phase, left)
        if left:
            length, behind = _varint(buffer, at)
            if behind < 0 or behind + length > len(buffer):
                return -1
            at, left = behind + length, left - 1
        elif phase == 0:
            count, behind = _varint(buffer, at)
            if behind < 0:
                return -1
            at, phase, left = behind, 1, count
        elif phase == 1:
            if at + _UINT32.size > len(buffer):
                return -1
            at, phase, left = at + _UINT32.size, 2, _TEXTS_AFTER_TOP_K
        else:
            return at


def decode(raw: bytes) -> Row:
    """The bytes of one row -> Row."""
    at = 0

    def text() -> str:
        nonlocal at
        length, at = _varint(raw, at)
        at += length
        return raw[at - length : at].decode("utf-8", "surrogateescape")

    query = text()
    count, at = _varint(raw, at)
    documents = [text() for _ in range(count)]
    (top_k,) = _UINT32.unpack_from(raw, at)
    at += _UINT32.size
    row = Row(query, documents, top_k, text(), text(), text(), text())
    if at != len(raw):
        raise CallerError("INPUT", "A row does not end where it should. Compare <format> with --format.")
    return row


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

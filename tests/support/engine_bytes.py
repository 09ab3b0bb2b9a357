"""How ClickHouse writes the arguments of Rerank and reads its answers, in each format, independently of the package."""

from __future__ import annotations

import json
import re
import struct

from clickhouse_rerank.types import Row

FORMATS = ("JSONEachRow", "TabSeparated", "RowBinary")
Answer = list[tuple[int, bytes, float]]
NAMES = ("query", "documents", "top_k", "provider", "base_url", "api_key", "others")

_TSV = {b"\\": b"\\\\", b"'": b"\\'", b"\n": b"\\n", b"\t": b"\\t", b"\r": b"\\r", b"\0": b"\\0"}
_TSV |= {b"\b": b"\\b", b"\f": b"\\f"}
_BACK = {escaped: plain for plain, escaped in _TSV.items()}
_TUPLE = re.compile(rb"\(([0-9]+),'((?:[^'\\]|\\.)*)',([^()]+)\)", re.DOTALL)


def texts(row: Row) -> dict[str, bytes | list[bytes] | int]:
    """The arguments as ClickHouse holds them: bytes."""
    values: dict[str, bytes | list[bytes] | int] = {}
    for name in NAMES:
        value = getattr(row, name)
        if isinstance(value, str):
            value = value.encode("utf-8", "surrogateescape")
        elif isinstance(value, list):
            value = [document.encode("utf-8", "surrogateescape") for document in value]
        values[name] = value
    return values


def argument(row: Row, format_name: str) -> bytes:
    """One row as the engine sends it."""
    values = texts(row)
    if format_name == "JSONEachRow":
        return b"{" + b",".join(b'"%s":%s' % (name.encode(), _json(value)) for name, value in values.items()) + b"}\n"
    if format_name == "TabSeparated":
        return b"\t".join(map(_tsv, values.values())) + b"\n"
    return b"".join(map(_binary, values.values()))


def chunk(rows: list[Row], format_name: str) -> bytes:
    """A chunk as the engine sends it."""
    return b"%d\n" % len(rows) + b"".join(argument(row, format_name) for row in rows)


def answers(data: bytes, format_name: str) -> list[Answer]:
    """All answers in `data`, which must be whole; errors: ValueError, IndexError."""
    if format_name == "RowBinary":
        found, at = [], 0
        while at < len(data):
            answer, at = _read_binary(data, at)
            found.append(answer)
        return found
    if data and not data.endswith(b"\n"):
        raise ValueError("half a line")
    return [(_read_json if format_name == "JSONEachRow" else _read_tsv)(line) for line in data.split(b"\n")[:-1]]


def _json(value: bytes | list[bytes] | int) -> bytes:
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, list):
        return b"[" + b",".join(map(_json, value)) + b"]"
    out = bytearray(b'"')
    for byte in value:
        character = bytes((byte,))
        if character in b'"\\/':
            out += b"\\" + character
        elif byte < 0x20:
            out += b"\\u%04x" % byte
        else:
            out += character
    return bytes(out + b'"')


def _tsv(value: bytes | list[bytes] | int) -> bytes:
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, list):
        return b"[" + b",".join(b"'" + _tsv(element) + b"'" for element in value) + b"]"
    return b"".join(_TSV.get(bytes((byte,)), bytes((byte,))) for byte in value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _binary(value: bytes | list[bytes] | int) -> bytes:
    if isinstance(value, int):
        return struct.pack("<I", value)
    if isinstance(value, list):
        return _varint(len(value)) + b"".join(map(_binary, value))
    return _varint(len(value)) + value


def _read_json(line: bytes) -> Answer:
    found = json.loads(line.decode("utf-8", "surrogateescape"))
    assert found.keys() == {"result"}
    return [(index, text.encode("utf-8", "surrogateescape"), score) for index, text, score in found["result"]]


def _read_tsv(line: bytes) -> Answer:
    matches = list(_TUPLE.finditer(line))
    assert b"[" + b",".join(m[0] for m in matches) + b"]" == line
    unescape = re.compile(rb"\\.", re.DOTALL)
    return [(int(m[1]), unescape.sub(lambda e: _BACK[e[0]], m[2]), float(m[3])) for m in matches]


def _read_binary(data: bytes, at: int) -> tuple[Answer, int]:
    count, at = _read_varint(data, at)
    answer = []
    for _ in range(count):
        index = int.from_bytes(data[at : at + 4], "little")
        length, at = _read_varint(data, at + 4)
        text, at = data[at : at + length], at + length
        if at + 4 > len(data):
            raise IndexError
        answer.append((index, text, struct.unpack("<f", data[at : at + 4])[0]))
        at += 4
    return answer, at


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at

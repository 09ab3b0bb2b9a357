"""Chunks on the wire, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine_bytes
from clickhouse_rerank.engine.formats import FORMATS
from clickhouse_rerank.engine.framing import Framing
from clickhouse_rerank.errors import ProtocolError
from clickhouse_rerank.types import Row

ROWS = [
    Row("q", ["a", "b\n"], 2, "Cohere", "https://h", "k", ""),
    Row("", [], 0, "", "", "", ""),
    Row("é\udcff\n\t", ["x" * 300, "", "]", "[\n"], 2**32 - 1, "p", "u", "k", "{}"),
]


def decoded(name: str, items: list[int | bytes]) -> list[int | Row]:
    return [item if isinstance(item, int) else FORMATS[name].decode(item) for item in items]


def fed(name: str, pieces: list[bytes]) -> tuple[list[int | Row], Framing]:
    framing = Framing(FORMATS[name])
    return decoded(name, [item for piece in pieces for item in framing.feed(piece)]), framing


@pytest.mark.parametrize("name", FORMATS)
def test_chunks_whole_and_byte_by_byte(name: str) -> None:
    """Several chunks, one of them of no rows, come out the same in one piece and in pieces of a byte."""
    data = engine_bytes.chunk(ROWS, name) + b"0\n" + engine_bytes.chunk(ROWS[:1], name)
    expected = [3, *ROWS, 0, 1, ROWS[0]]
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        items, framing = fed(name, pieces)
        assert items == expected
        assert framing.between_chunks


@pytest.mark.parametrize("name", FORMATS)
@given(cuts=st.lists(st.integers(0, 1200), max_size=12).map(sorted))
def test_chunks_cut_anywhere(name: str, cuts: list[int]) -> None:
    """Where the pipe cuts the bytes does not matter."""
    data = engine_bytes.chunk(ROWS, name) * 2
    pieces = [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert fed(name, pieces)[0] == [3, *ROWS, 3, *ROWS]


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_is_handed_on_when_its_last_byte_is_there(name: str) -> None:
    """A row comes out with its last byte, neither earlier nor together with the next one."""
    framing = Framing(FORMATS[name])
    first, second = (engine_bytes.argument(row, name) for row in ROWS[:2])
    assert framing.feed(b"2\n" + first[:-1]) == [2]
    assert framing.feed(first[-1:] + second[:-1]) == [first]
    assert not framing.between_chunks
    assert framing.feed(second[-1:]) == [second]
    assert framing.between_chunks


class Looked(bytearray):
    """A buffer that counts the bytes that are looked at, one by one or by find."""

    bytes = 0

    def __getitem__(self, key):  # type: ignore[no-untyped-def, override]
        self.bytes += isinstance(key, int)
        return super().__getitem__(key)

    def find(self, what, start=0, *end):  # type: ignore[no-untyped-def, override]
        found = super().find(what, start, *end)
        self.bytes += (len(self) if found < 0 else found) - start
        return found


@pytest.mark.parametrize("name", FORMATS)
def test_a_large_row_in_pieces_is_walked_once(name: str) -> None:
    """A row of megabytes in pieces of a pipe's size costs a constant amount of work per piece."""
    raw = engine_bytes.argument(Row("q", ["y" * 1000] * 4000, 1, "p", "", "", ""), name)
    framing = Framing(FORMATS[name])
    framing._buffer = looked = Looked()
    assert framing.feed(b"1\n") == [1]
    assert [item for i in range(0, len(raw), 65536) for item in framing.feed(raw[i : i + 65536])] == [raw]
    assert looked.bytes <= (25_000 if name == "RowBinary" else len(raw))


ARRAY_OF_ROWS = [
    [b"2\n[\n", b"%s,\n", b"%s\n", b"]\n"],
    [b"2\n[\n", b"%s,\n", b"%s\n]", b"\n"],
    [b"2\n[\n", b"%s,\n%s\n", b"\n]\n"],
]


@pytest.mark.parametrize("pieces", ARRAY_OF_ROWS)
def test_array_of_rows_is_noise_around_the_rows(pieces: list[bytes]) -> None:
    """With output_format_json_array_of_rows=1 the brackets disappear, the late one in front of the next chunk too."""
    line = engine_bytes.argument(ROWS[0], "JSONEachRow").rstrip(b"\n")
    data = [piece.replace(b"%s", line) for piece in pieces]
    items, framing = fed("JSONEachRow", [*data, *data])
    assert items == [2, ROWS[0], ROWS[0]] * 2
    assert framing.between_chunks


@pytest.mark.parametrize("name", ["TabSeparated", "RowBinary"])
def test_only_json_has_noise(name: str) -> None:
    """A bracket before a chunk is an error where no setting writes one."""
    with pytest.raises(ProtocolError):
        fed(name, [b"[\n1\n"])


@pytest.mark.parametrize(
    "header", [b"-1\n", b"1e3\n", b" 5\n", b"5 \n", b"5\r\n", b"x\n", b"9" * 20 + b"\n", b"{" * 30]
)
@pytest.mark.parametrize("name", FORMATS)
def test_a_bad_header_is_a_protocol_error(name: str, header: bytes) -> None:
    """What is not a row count ends the process: rows can no longer be told apart."""
    with pytest.raises(ProtocolError, match="send_chunk_header"):
        fed(name, [header])


@pytest.mark.parametrize("length", [b"\xff" * 9 + b"\x01", b"\x80" * 12, b"\x81\x80\x80\x80\x08"])
def test_a_length_beyond_reason_is_a_protocol_error(length: bytes) -> None:
    """A RowBinary length over 2 GiB is refused before anything of that size is waited for."""
    with pytest.raises(ProtocolError, match="2 GiB"):
        fed("RowBinary", [b"1\n" + length])


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_cut_off_is_not_between_chunks(name: str) -> None:
    """The end of input is clean behind a complete chunk only."""
    data = engine_bytes.chunk(ROWS[:1], name)
    clean = [end for end in range(len(data) + 1) if fed(name, [data[:end]])[1].between_chunks]
    assert clean == [0, len(data)]

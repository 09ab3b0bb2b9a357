"""The three formats, both ways: bytes that ClickHouse sent or accepts on one side, records on the other."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine_bytes
from clickhouse_rerank.engine.formats import FORMATS
from clickhouse_rerank.errors import CallerError
from clickhouse_rerank.types import Row


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


AWKWARD = ["", "a\tb\nc\\d\"e'f", "nul\0x", text(b"bad\xc3(\xff"), "ümlaut 😀 /x"]
QUERY = text(b"q'\"\t\n\\\0\xff\xfe") + "😀"

# As captured from the engine, but for the four columns behind top_k.
ARGUMENTS = [
    (
        "JSONEachRow",
        b'{"query":"q\'\\"\\t\\n\\\\\\u0000\xff\xfe\xf0\x9f\x98\x80","documents":["","a\\tb\\nc\\\\d\\"e\'f",'
        b'"nul\\u0000x","bad\xc3(\xff","\xc3\xbcmlaut \xf0\x9f\x98\x80 \\/x"],"top_k":4294967295,"provider":"Cohere",'
        b'"base_url":"https:\\/\\/h\\/v1","api_key":"k","others":"{\\"model\\":\\"m\\"}"}\n',
        Row(QUERY, AWKWARD, 4294967295, "Cohere", "https://h/v1", "k", '{"model":"m"}'),
    ),
    (
        "TabSeparated",
        b"q\\'\"\\t\\n\\\\\\0\xff\xfe\xf0\x9f\x98\x80\t['','a\\tb\\nc\\\\d\"e\\'f','nul\\0x','bad\xc3(\xff',"
        b'\'\xc3\xbcmlaut \xf0\x9f\x98\x80 /x\']\t4294967295\tCohere\thttps://h/v1\tk\t{"model":"m"}\n',
        Row(QUERY, AWKWARD, 4294967295, "Cohere", "https://h/v1", "k", '{"model":"m"}'),
    ),
    (
        "RowBinary",
        b"\x0dq'\"\t\n\\\x00\xff\xfe\xf0\x9f\x98\x80\x05\x00\x0ba\tb\nc\\d\"e'f\x05nul\x00x\x06bad\xc3(\xff"
        b'\x0f\xc3\xbcmlaut \xf0\x9f\x98\x80 /x\xff\xff\xff\xff\x06Cohere\x0chttps://h/v1\x01k\x0d{"model":"m"}',
        Row(QUERY, AWKWARD, 4294967295, "Cohere", "https://h/v1", "k", '{"model":"m"}'),
    ),
    (
        "JSONEachRow",
        b'{"query":"","documents":[],"top_k":0,"provider":"","base_url":"","api_key":"","others":""}\n',
        Row("", [], 0, "", "", "", ""),
    ),
    ("TabSeparated", b"\t[]\t0\t\t\t\t\n", Row("", [], 0, "", "", "", "")),
    ("RowBinary", bytes(10), Row("", [], 0, "", "", "", "")),
    ("TabSeparated", b"q\t['\\b\\f\\r\\0']\t1\tp\tu\tk\t\r\n", Row("q", ["\b\f\r\0"], 1, "p", "u", "k", "")),
]

ANSWERS = [
    ("JSONEachRow", ["x", "doc"], [(1, 0.25)], b'{"result":[[1,"doc",0.25]]}\n'),
    ("TabSeparated", ["x", "doc"], [(1, 0.25)], b"[(1,'doc',0.25)]\n"),
    ("TabSeparated", ["\b\f\r\0"], [(0, 1.0)], b"[(0,'\\b\\f\\r\\0',1.0)]\n"),
    ("RowBinary", ["x", "doc"], [(1, 0.25)], b"\x01\x01\x00\x00\x00\x03doc\x00\x00\x80\x3e"),
    ("JSONEachRow", AWKWARD, [(3, 1.5)], b'{"result":[[3,"bad\xc3(\xff",1.5]]}\n'),
    ("TabSeparated", AWKWARD, [(1, 1.5)], b"[(1,'a\\tb\\nc\\\\d\"e\\'f',1.5)]\n"),
    ("RowBinary", AWKWARD, [(3, 1.5)], b"\x01\x03\x00\x00\x00\x06bad\xc3(\xff\x00\x00\xc0\x3f"),
    ("JSONEachRow", [""], [(0, math.nan)], b'{"result":[[0,"",NaN]]}\n'),
    ("JSONEachRow", ["\udcff"], [(0, math.nan)], b'{"result":[[0,"\xff",NaN]]}\n'),
    ("TabSeparated", [""], [(0, math.nan)], b"[(0,'',nan)]\n"),
    ("RowBinary", [""], [(0, math.nan)], b"\x01\x00\x00\x00\x00\x00\x00\x00\xc0\x7f"),
]


@pytest.mark.parametrize(("name", "raw", "row"), ARGUMENTS)
def test_a_row_decodes(name: str, raw: bytes, row: Row) -> None:
    """What the engine sends becomes the seven arguments, byte for byte."""
    assert FORMATS[name].decode(raw) == row


@pytest.mark.parametrize(("name", "raw", "row"), ARGUMENTS)
def test_a_row_ends_where_it_ends(name: str, raw: bytes, row: Row) -> None:
    """A row's end is found whole, byte by byte and with bytes of the next row behind it."""
    fmt = FORMATS[name]
    assert fmt.end_of_row(bytearray(raw), 0, []) == len(raw)
    assert fmt.end_of_row(bytearray(b"before" + raw + b"behind"), 6, []) == 6 + len(raw)
    buffer, progress = bytearray(), []
    for at, byte in enumerate(raw):
        buffer.append(byte)
        assert fmt.end_of_row(buffer, 0, progress) == (len(raw) if at == len(raw) - 1 else -1)


@pytest.mark.parametrize(("name", "documents", "ranking", "raw"), ANSWERS)
def test_an_answer_encodes(name: str, documents: list[str], ranking: list[tuple[int, float]], raw: bytes) -> None:
    """A ranking becomes the bytes that the engine accepts; nan is written in each format's own way."""
    assert FORMATS[name].encode(documents, ranking) == raw


@pytest.mark.parametrize("name", FORMATS)
def test_no_documents_encode_as_the_constant(name: str) -> None:
    """EMPTY, which stands for a failed row, is the encoding of an empty ranking."""
    assert FORMATS[name].encode([], []) == FORMATS[name].EMPTY


any_text = st.binary(max_size=40).map(text)
rows = st.builds(
    Row,
    any_text,
    st.lists(any_text, max_size=5),
    st.integers(0, 2**32 - 1),
    any_text,
    any_text,
    any_text,
    any_text,
)
float32 = st.floats(width=32, allow_infinity=False)


@pytest.mark.parametrize("name", FORMATS)
@given(row=rows)
def test_any_bytes_survive_decoding(name: str, row: Row) -> None:
    """Whatever bytes the arguments have, decoding gives exactly those."""
    raw = engine_bytes.argument(row, name)
    assert FORMATS[name].end_of_row(bytearray(raw), 0, []) == len(raw)
    assert FORMATS[name].decode(raw) == row


@pytest.mark.parametrize("name", FORMATS)
@given(documents=st.lists(any_text, min_size=1, max_size=5), score=float32, data=st.data())
def test_any_bytes_survive_encoding(name: str, documents: list[str], score: float, data: st.DataObject) -> None:
    """Whatever bytes a document has and whatever its Float32 score, the engine reads exactly those."""
    index = data.draw(st.integers(0, len(documents) - 1))
    raw = FORMATS[name].encode(documents, [(index, score)])
    (((got_index, got_text, got_score),),) = engine_bytes.answers(raw, name)
    assert (got_index, text(got_text)) == (index, documents[index])
    assert struct.pack("<f", got_score) == struct.pack("<f", score) or (math.isnan(got_score) and math.isnan(score))


GOOD = b'{"query":"q","documents":["d"],"top_k":1,"provider":"p","base_url":"","api_key":"","others":""}'
MALFORMED = [
    ("JSONEachRow", b"not json\n"),
    ("JSONEachRow", GOOD[:-1] + b"\n"),
    ("JSONEachRow", b"[" * 100_000 + b"\n"),
    ("JSONEachRow", b"[1]\n"),
    ("JSONEachRow", b"null\n"),
    ("JSONEachRow", b"{}\n"),
    ("JSONEachRow", GOOD.replace(b'"top_k":1', b'"top_k":"1"') + b"\n"),
    ("JSONEachRow", GOOD.replace(b'"top_k":1', b'"top_k":true') + b"\n"),
    ("JSONEachRow", GOOD.replace(b'"top_k":1', b'"top_k":-1') + b"\n"),
    ("JSONEachRow", GOOD.replace(b'["d"]', b'["d",1]') + b"\n"),
    ("JSONEachRow", GOOD.replace(b'["d"]', b'"d"') + b"\n"),
    ("JSONEachRow", GOOD.replace(b'"q"', b"null") + b"\n"),
    ("JSONEachRow", GOOD.replace(b'["d"]', b'["\\ud800"]') + b"\n"),
    ("TabSeparated", b"\n"),
    ("TabSeparated", b"q\t['d']\t1\tp\t\t\n"),
    ("TabSeparated", b"q\t['d']\t1\tp\t\t\t\t\n"),
    ("TabSeparated", b"q\td\t1\tp\t\t\t\n"),
    ("TabSeparated", b"q\t['d\t1\tp\t\t\t\n"),
    ("TabSeparated", b"q\t['d'e']\t1\tp\t\t\t\n"),
    ("TabSeparated", b"q\t[d]\t1\tp\t\t\t\n"),
    ("TabSeparated", b"q\t['d']\t-1\tp\t\t\t\n"),
    ("TabSeparated", b"q\t['d']\tx\tp\t\t\t\n"),
    ("TabSeparated", b"q\t['d']\t" + b"9" * 5000 + b"\tp\t\t\t\n"),
]


@pytest.mark.parametrize(("name", "raw"), MALFORMED)
def test_a_malformed_row_is_an_input_error(name: str, raw: bytes) -> None:
    """A line that is no row of Rerank raises INPUT, without repeating what the line says."""
    with pytest.raises(CallerError, match="INPUT") as raised:
        FORMATS[name].decode(raw)
    assert "'d" not in str(raised.value)


def test_a_large_document_needs_little_more_than_itself() -> None:
    """Cutting a TabSeparated array of large documents does not remember a position per character."""
    import tracemalloc

    raw = b"q\t['" + b"y\\n" * 500_000 + b"']\t1\tp\t\t\t\n"
    tracemalloc.start()
    assert FORMATS["TabSeparated"].decode(raw).documents == ["y\n" * 500_000]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * len(raw)

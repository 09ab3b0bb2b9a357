"""Rerank as its users meet it: through SQL on the real engine."""

import pytest

from conftest import Sql
from provider import Provider, Reply

FORMATS = ("JSONEachRow", "TabSeparated", "RowBinary")


def test_the_documented_call_returns_the_two_best(sql: Sql, provider: Provider) -> None:
    """One call, exact result and exact type."""
    scores = {"a": 0.5, "b": 0.25, "c": 0.875}
    provider.reset(
        lambda r: Reply(
            json={"results": [{"index": i, "relevance_score": scores[d]} for i, d in enumerate(r.json["documents"])]}
        )
    )
    call = f"Rerank('q', ['a','b','c'], 2, 'Cohere', '{provider.url}/v1/rerank', 'k', '')"
    assert sql.value(f"SELECT {call}") == [(2, "c", 0.875), (0, "a", 0.5)]
    assert sql.value(f"SELECT toTypeName({call})") == "Array(Tuple(UInt32, String, Float32))"


AWKWARD = (
    b"",
    b" \t\n",
    b"a\tb\nc\\d\"e'f/\r\b\f",
    b"nul\0x",
    b"bad\xc3(\xff\xed\xa0\x80",
    "ümlaut 😀 \u2028".encode(),
    b"y" * 1_000_000,
)


@pytest.mark.parametrize("name", FORMATS)
def test_documents_come_back_byte_for_byte(sql: Sql, provider: Provider, name: str) -> None:
    """NUL, tabs, quotes, invalid UTF-8, emoji and a megabyte survive every format; blanks come last, unscored."""
    *short, long = AWKWARD
    documents = ", ".join(f"unhex('{document.hex()}')" for document in short) + f", repeat('y', {len(long)})"
    call = f"{sql.function(name)}('ümlaut', [{documents}], 10, 'Cohere', '{provider.url}', 'k', '')"
    rows = sql.rows(f"SELECT r.1, hex(r.2), isNaN(r.3) FROM (SELECT {call} AS rs) ARRAY JOIN rs AS r")
    assert {index: bytes.fromhex(text) for index, text, _ in rows} == dict(enumerate(AWKWARD))
    assert [index for index, _, unscored in rows if unscored] == [0, 1]
    assert rows[0][0] == 5 and [row[0] for row in rows[-2:]] == [0, 1]
    assert provider.requests[0].json["documents"][2] == "bad\ufffd(\ufffd\ufffd\ufffd\ufffd"

"""The bytes in which the engine sends a row to a worker, in each format."""

import orjson

from clickhouse_rerank.engine.formats import FORMATS
from clickhouse_rerank.types import Ranking, Row

from .provider_server import prepared

_TSV = (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\t", "\\t"))


def _json(row: Row) -> bytes:
    texts = {"provider": row.provider, "base_url": row.base_url, "api_key": row.api_key, "others": row.others}
    first = {"query": row.query, "documents": row.documents, "top_k": row.top_k}
    return orjson.dumps(first | texts, option=orjson.OPT_APPEND_NEWLINE)


def _tsv(row: Row) -> bytes:
    def escaped(text: str) -> str:
        for character, replacement in _TSV:
            text = text.replace(character, replacement)
        return text

    documents = ",".join(f"'{escaped(document)}'" for document in row.documents)
    last = map(escaped, (row.provider, row.base_url, row.api_key, row.others))
    return "\t".join((escaped(row.query), f"[{documents}]", str(row.top_k), *last)).encode() + b"\n"


def _binary(row: Row) -> bytes:
    def length(value: int) -> bytes:
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes((*out, value))

    def text(value: str) -> bytes:
        raw = value.encode("utf-8", "surrogateescape")
        return length(len(raw)) + raw

    documents = b"".join(map(text, row.documents))
    last = b"".join(map(text, (row.provider, row.base_url, row.api_key, row.others)))
    return text(row.query) + length(len(row.documents)) + documents + row.top_k.to_bytes(4, "little") + last


ENCODED = {"JSONEachRow": _json, "TabSeparated": _tsv, "RowBinary": _binary}


def answer_bytes(format_name: str, documents: list[str], items: int) -> int:
    """Length of a worker's answer to a row, when the provider has given its prepared answer with so many items."""
    _, answer = prepared(b"/0/%d/200" % items)
    results = orjson.loads(answer.partition(b"\r\n\r\n")[2])["results"]
    ranking: Ranking = [(item["index"], item["relevance_score"]) for item in results]
    return len(FORMATS[format_name].encode(documents, ranking))

"""Rows asked through `Reranker` in this process; what every failure promises is checked on the way."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Sequence
from typing import Any

from clickhouse_rerank.config.settings import Limits, Network, Settings
from clickhouse_rerank.config.tables import CacheSettings
from clickhouse_rerank.errors import CODES, RerankError
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.types import Ranking, Row
from provider import Reply, Script, cohere

KEY = "canary-Zm9vYmFy0123"
"""A key that no error may show."""
DOCUMENTS = ("zebra one", "zebra zebra", "one two zebra", "a third")
"""Scored by `provider.cohere` for QUERY: 1, 1/2, 1, 0."""
QUERY = "one zebra"
RIGHT: Ranking = [(0, 1.0), (2, 1.0)]
"""The best two of DOCUMENTS."""
HANG_S = 10.0
"""What no deadline of a test reaches: beyond it, something hangs."""

Outcome = Ranking | RerankError


def row(url: str, *, provider: str = "Cohere", key: str = KEY, **more: Any) -> Row:
    """A row that asks for the best two; `others` is a dict, or the text itself."""
    others = more.pop("others", {})
    fields = {"query": QUERY, "documents": list(DOCUMENTS), "top_k": 2} | more
    text = others if isinstance(others, str) else json.dumps(others) if others else ""
    return Row(**fields, provider=provider, base_url=url, api_key=key, others=text)


def settings(**limits: Any) -> Settings:
    """Those of the embedded engine, with short limits; each row asks."""
    network = Network(allow_private=limits.pop("allow_private", ()), allow_loopback=True)
    cache = limits.pop("cache", CacheSettings(memory_s=0))
    return Settings(network=network, limits=Limits(**{"row_deadline_s": 5.0, "connect_s": 1.0} | limits), cache=cache)


async def outcome(reranker: Reranker, one: Row) -> Outcome:
    """A row's ranking or its error; any other exception is a defect, and so is an error that tells secrets."""
    try:
        return await reranker.rank(one)
    except RerankError as error:
        text = str(error)
        assert error.code in CODES
        assert text.startswith(f"Rerank: {error.code}: ") and text.isprintable() and len(text) < 1000, text
        assert one.api_key not in text or one.api_key.startswith("cred:") or len(one.api_key) < 6, text
        assert not any(document in text for document in DOCUMENTS), text
        return error


def asked(*rows: Row, within: Settings | None = None) -> list[Outcome]:
    """The outcomes of rows that are asked one after the other, on the connections of one worker."""

    async def run() -> list[Outcome]:
        reranker = Reranker(within or settings())
        try:
            async with asyncio.timeout(HANG_S * len(rows)):
                return [await outcome(reranker, one) for one in rows]
        finally:
            await reranker.aclose()

    return asyncio.run(run())


def asked_together(rows: Sequence[Row], within: Settings | None = None) -> list[Outcome]:
    """The outcomes of rows that are asked at the same time."""

    async def run() -> list[Outcome]:
        reranker = Reranker(within or settings())
        try:
            async with asyncio.timeout(HANG_S):
                return list(await asyncio.gather(*(outcome(reranker, one) for one in rows)))
        finally:
            await reranker.aclose()

    return asyncio.run(run())


def code(result: Outcome) -> str:
    """The code of an error; "OK" for the right answer to `row`; else the answer itself, for the test's message."""
    if isinstance(result, RerankError):
        return result.code
    return "OK" if result == RIGHT else repr(result)


def float32(value: float) -> float:
    """The value as ClickHouse keeps it."""
    (kept,) = struct.unpack("f", struct.pack("f", value))
    return kept


def first(*replies: Reply, then: Script = cohere) -> Script:
    """These replies in turn, then those of another script."""
    left = list(replies)
    return lambda request: left.pop(0) if left else then(request)


def always(reply: Reply) -> Script:
    return lambda _: reply


def raw(text: str, **more: Any) -> Reply:
    """A reply byte for byte."""
    return Reply(raw=text.encode("latin-1"), **more)


def answer(**more: Any) -> Reply:
    """The right answer to `row`, with something changed."""
    body = {"results": [{"index": i, "relevance_score": score} for i, score in RIGHT]}
    return Reply(body=json.dumps(body).encode(), **more)


RIGHT_BODY = answer().wire()[1].decode()
RIGHT_REPLY = f"HTTP/1.1 200 OK\r\nContent-Length: {len(RIGHT_BODY)}\r\n\r\n{RIGHT_BODY}"

"""Equal scores: the same ranking, whoever cuts the list and wherever the scores come from."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from clickhouse_rerank.config.settings import Settings, parse
from clickhouse_rerank.network.transport import Response
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.types import Row

_SCORES = ["0.5", "0.99999998", "0.99999999", "1.0", "1e-9", "0", "-0.3", "41.0", "42.0", "43.0"]
"""Some are equal as Float32, and some after a sigmoid."""
_ROWS = 10_000

_Comparable = list[tuple[int, float | None]]
"""A ranking, with None for nan."""


class _Scorer:
    """A provider whose documents name their scores; it returns the best few, or always all."""

    def __init__(self, *, cuts: bool) -> None:
        self._cuts = cuts

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        request = orjson.loads(body)
        scores = [float(document.partition(" ")[0]) for document in request["documents"]]
        best = sorted(range(len(scores)), key=lambda index: -scores[index])
        items = [{"index": i, "relevance_score": scores[i]} for i in best[: request["top_n"] if self._cuts else None]]
        return Response(200, {"content-type": "application/json"}, orjson.dumps({"results": items}))

    async def aclose(self) -> None:
        pass


def _rows() -> list[Row]:
    """Rows with ties, equal documents and blank ones; each several times, so that caches answer some."""
    chance = random.Random(13)
    rows = []
    for number in range(_ROWS // 2):
        documents = [
            f"{chance.choice(_SCORES)} {chance.randrange(5)}" if chance.random() < 0.9 else " "
            for _ in range(chance.randrange(1, 9))
        ]
        normalize = chance.choice(["none", "sigmoid"])
        others = json.dumps({"normalize": normalize, "batch_size": chance.choice([2, 3, 100])})
        rows.append(Row(f"q {number % 700}", documents, chance.randrange(1, 9), "Cohere", "", "key", others))
    return rows * 2


def _rankings(rows: list[Row], settings: Settings, *, cuts: bool) -> list[_Comparable]:
    async def ranked() -> list[_Comparable]:
        reranker = Reranker(settings, _Scorer(cuts=cuts))
        try:
            return [[(i, None if math.isnan(s) else s) for i, s in await reranker.rank(row)] for row in rows]
        finally:
            await reranker.aclose()

    return asyncio.run(ranked())


@pytest.fixture(scope="module")
def expected() -> tuple[list[Row], list[_Comparable]]:
    """What sorting by the provider's scores gives, without a cache and with all scores."""
    rows = _rows()
    return rows, _rankings(rows, parse({"cache": {"memory_s": 0}}, {}, where="test"), cuts=False)


def test_the_order_is_that_of_the_providers_scores(expected: tuple[list[Row], list[_Comparable]]) -> None:
    rows, rankings = expected
    for row, ranking in zip(rows, rankings, strict=True):
        scored = [i for i, text in enumerate(row.documents) if text != " "]
        scored.sort(key=lambda index, row=row: (-float(row.documents[index].partition(" ")[0]), index))
        blank = [i for i, text in enumerate(row.documents) if text == " "]
        assert [index for index, _ in ranking] == [*scored, *blank][: row.top_k]


@pytest.mark.parametrize("cuts", [False, True])
@pytest.mark.parametrize("cache", ["off", "memory", "file"])
def test_the_result_is_the_same(
    expected: tuple[list[Row], list[_Comparable]], cache: str, cuts: bool, tmp_path: Path
) -> None:
    tables = {"off": {"memory_s": 0}, "memory": {"memory_s": 60}, "file": {"path": str(tmp_path / "scores.db")}}
    rows, rankings = expected
    assert _rankings(rows, parse({"cache": tables[cache]}, {}, where="test"), cuts=cuts) == rankings

"""What `make bench-check` counts: each step of a row between engine and network, over and over, under callgrind.

Run as a script by bench/instructions.py. A call of getppid, which nothing else makes, separates the steps: callgrind
writes a part of its profile at each.
"""

import gc
import os
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.provider_server import prepared
from bench.rows import ENCODED
from bench.work import KEY, Work
from clickhouse_rerank.cache.scores import Cache
from clickhouse_rerank.config.settings import Settings
from clickhouse_rerank.config.tables import CacheSettings
from clickhouse_rerank.engine.formats import FORMATS, Format
from clickhouse_rerank.engine.framing import Framing
from clickhouse_rerank.network import responses
from clickhouse_rerank.network.transport import Response
from clickhouse_rerank.providers.wires import WIRES
from clickhouse_rerank.request import plan, ranking
from clickhouse_rerank.request.endpoint import resolve
from clickhouse_rerank.types import Ranking, Row

TIMES = 40
_WORK = Work(TIMES, 20, 500)
_URL = "https://api.cohere.com/v2/rerank"


def _row(number: int, change: Callable[[str], str] = str) -> Row:
    documents = [change(document) for document in _WORK.texts(number, _WORK.corpus)]
    return Row(_WORK.query("count", number), documents, _WORK.top_k, "Cohere", _URL, KEY, "")


def _accented(text: str) -> str:
    return text.replace("e", "é")


def _invalid(text: str) -> str:
    return text[:100] + "\udcff" + text[101:]


def steps() -> dict[str, Callable[[int], object]]:
    """Name -> what is done for the row with a number below TIMES."""
    every: dict[str, Callable[[int], object]] = {}
    rows = [_row(number) for number in range(TIMES)]
    settings = Settings()
    endpoint = resolve("Cohere", _URL, KEY, "", settings)
    positions = plan.scored_positions(rows[0])
    calls = [plan.call(row, positions, endpoint) for row in rows]
    body = prepared(b"/0/10/200")[1].partition(b"\r\n\r\n")[2]
    reply = Response(200, {"content-type": "application/json"}, body)
    scores = WIRES[endpoint.wire].scores(responses.payload(reply, endpoint), calls[0])
    parts = plan.parts(calls[0], endpoint)

    def ranked(n: int) -> Ranking:
        call_scores = ranking.gathered(parts, [scores])
        return ranking.ranked(rows[n], ranking.row_scores(rows[n], positions, calls[n], call_scores), endpoint)

    first = ranked(0)

    def add_format(name: str, fmt: Format) -> None:
        raws = [ENCODED[name](row) for row in rows]
        every[f"framing, {name}"] = lambda n: Framing(fmt).feed(b"1\n" + raws[n])
        every[f"decode, {name}"] = lambda n: fmt.decode(raws[n])
        every[f"encode, {name}"] = lambda n: fmt.encode(rows[n].documents, first)

    for name, fmt in FORMATS.items():
        add_format(name, fmt)
    json = FORMATS["JSONEachRow"]
    accented = [ENCODED["JSONEachRow"](_row(number, _accented)) for number in range(TIMES)]
    # As the engine sends it: a raw byte that is not UTF-8 inside a JSON string.
    invalid = [ENCODED["JSONEachRow"](_row(n, _invalid_marked)).replace(b"<FF>", b"\xff") for n in range(TIMES)]
    raws = [ENCODED["JSONEachRow"](row) for row in rows]
    every["decode, JSONEachRow, not ASCII"] = lambda n: json.decode(accented[n])
    every["decode, JSONEachRow, invalid UTF-8"] = lambda n: json.decode(invalid[n])
    broken = [_row(number, _invalid) for number in range(TIMES)]
    every["encode, JSONEachRow, invalid UTF-8"] = lambda n: json.encode(broken[n].documents, first)
    every["key of equal rows"] = lambda n: sha256(raws[n], usedforsecurity=False).digest()
    every["plan: row to call"] = lambda n: plan.call(rows[n], plan.scored_positions(rows[n]), endpoint)
    cache, digests = Cache(CacheSettings()), [sha256(raw).digest() for raw in raws]
    every["cache: call to a key not known"] = lambda n: cache.look(calls[n], endpoint, digests[n])
    every["plan and wire: call to request body"] = lambda n: plan.parts(calls[n], endpoint)
    every["wire: answer to scores"] = lambda n: WIRES[endpoint.wire].scores(
        responses.payload(reply, endpoint), calls[n]
    )
    every["plan: scores to ranking"] = ranked
    return every


def _invalid_marked(text: str) -> str:
    return text[:100] + "<FF>" + text[104:]


def main() -> None:
    """Do each step once to warm up, then TIMES times; and once nothing, which is what a loop costs."""
    every = {"nothing": lambda n: None, **steps()}
    for name, step in every.items():
        step(0)
        gc.collect()
        gc.disable()
        os.getppid()
        for number in range(TIMES):
            step(number)
        os.getppid()
        gc.enable()
        print(name, flush=True)


if __name__ == "__main__":
    main()

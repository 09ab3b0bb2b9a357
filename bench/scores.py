"""A score per row: rows that share requests, against the provider's own time and against a request for each row."""

import os
import time
from collections.abc import Iterator

from . import sql
from .processes import isolated
from .provider import Provider, stats
from .record import Figure, Sizes
from .work import KEY

_LIMIT = 1000
_BASE_MS, _DOCUMENT_US = 100, 200
_QUESTIONS = 10
_ALONE = '{"listwise":true}'
"""Options with which rows share nothing: what `Rerank(query, [text], 1, ...)` costs without sharing."""


def scores(provider: Provider, sizes: Sizes) -> Iterator[Figure]:
    """Requests and time of a query that scores each row of a table."""
    rows = sizes.score_rows
    fewest = -(-rows // _LIMIT)
    url = provider.url(f"{_BASE_MS}+{_DOCUMENT_US}", 0)
    for in_flight in (2, 4, 64):
        requests, mixed, wall_s, cpu_s, alone_s = isolated(_ask_each, rows, provider.port, url, in_flight)
        if in_flight == 64:
            yield Figure(
                f"{rows:,} rows of one document, one question, limit {_LIMIT:,}: requests",
                f"{requests}",
                f"<= {round(fewest * 70 / 66)}",
                requests <= round(fewest * 70 / 66),
                f"{fewest} are the fewest",
            )
            most = round(1.1 * _QUESTIONS * -(-rows // _QUESTIONS // _LIMIT))
            yield Figure(
                f"the same with {_QUESTIONS} questions at random: requests", f"{mixed}", f"<= {most}", mixed <= most
            )
        ideal_s = _ideal_s(rows, in_flight)
        ratio = wall_s / ideal_s
        yield Figure(
            f"the same, {_BASE_MS} ms + {_DOCUMENT_US / 1000:g} ms a document, {in_flight} in flight: time / ideal",
            f"{ratio:.2f}",
            "<= 1.20",
            ratio <= 1.2,
            f"{wall_s:.2f} s, ideal {ideal_s:.2f} s, worker CPU {cpu_s:.2f} s; with a request for each row "
            f"{alone_s:,.0f} s, which is {alone_s / wall_s:.1f} times as long",
        )


def _ideal_s(rows: int, in_flight: int) -> float:
    """The time that the provider takes for full requests, so many at a time."""
    rounds, rest = divmod(-(-rows // _LIMIT), in_flight)
    return (rounds + (rest > 0)) * (_BASE_MS + _LIMIT * _DOCUMENT_US / 1000) / 1000


def _ask_each(rows: int, port: int, url: str, in_flight: int) -> tuple[int, int, float, float, float]:
    """(requests, requests for ten questions, seconds, CPU seconds of the worker, seconds without sharing).

    The last is measured on fewer rows.
    """
    with sql.Bench(max_in_flight=in_flight) as bench:
        bench.fill_texts(rows)

        def ask(number: int, others: str, questions: int = 1) -> sql.Run:
            question = f"concat('scores {os.getpid()} {time.monotonic()} ', toString(cityHash64(n) % {questions}))"
            score = f"Rerank({question}, [text], 1, 'Custom', '{url}/v1/rerank', '{KEY}', '{others}')[1].3"
            query = f"""SELECT count(), sum(isNaN({score})) FROM texts WHERE n < {number}
                SETTINGS max_block_size = 65536, max_threads = 1"""
            return bench.timed(query, (number, 0))

        shared = f'{{"wire":"cohere","batch_size":{_LIMIT}}}'
        ask(10, shared)
        stats(port)
        run = ask(rows, shared)
        requests = stats(port)["requests"]
        ask(rows, shared, _QUESTIONS)
        mixed = stats(port)["requests"]
        few = min(rows, 16 * in_flight)
        alone = ask(few, shared.replace("{", _ALONE.removesuffix("}") + ",", 1))
        return requests, mixed, run.wall_s, run.worker_cpu_s, alone.wall_s * rows / few

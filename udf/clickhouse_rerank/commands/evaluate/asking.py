"""Asks a ranker one question, as SQL on the engine, and reads what that cost from the usage log."""

import contextlib
import json
import time
from collections import Counter
from typing import Any

from ...worker import USAGE_LOG
from .. import queries
from ..embedded_engine import Engine, QueryError
from .answers import Answer
from .questions import TABLE
from .rankers import Ranker

_SQL = (
    "SELECT arrayMap(r -> (r.1, r.3), Rerank(question, documents, toUInt32(length(documents)), {arguments})) "
    "FROM {table} WHERE number = {number}"
)


class Asker:
    """One question at a time: the wait is that of a user who asks alone, and each line of the log has its question."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._log = engine.usage / USAGE_LOG
        self._read = 0

    def warm_up(self, ranker: Ranker) -> None:
        """Start the worker process, and load the model of a ranker that scores in it: no question waits for that."""
        arguments = ranker.arguments() if ranker.record and ranker.record.is_local else "'BM25', '', '', ''"
        with contextlib.suppress(QueryError):  # the first question says what is wrong
            queries.run(self._engine, _SQL.format(table=TABLE, arguments=arguments, number=0))
        self._new_lines()

    def ask(self, ranker: Ranker, number: int, candidates: int) -> Answer:
        """The order of all candidates of question `number`; an error is part of the answer."""
        if not ranker.provider:
            return Answer(tuple(range(candidates)), (None,) * candidates)
        began = time.monotonic()
        try:
            sql = _SQL.format(table=TABLE, arguments=ranker.arguments(), number=number)
            ((ranked,),) = queries.rows(self._engine, sql)
        except QueryError as error:
            return Answer(seconds=time.monotonic() - began, error=str(error), billed=_billed(self._new_lines()))
        seconds = time.monotonic() - began
        lines = self._new_lines()
        failed = [line["error"] for line in lines if line["error"]]
        return Answer(
            indexes=tuple(index for index, _ in ranked),
            scores=tuple(score for _, score in ranked),
            seconds=seconds,
            billed=_billed(lines),
            documents=sum(line["documents"] for line in lines if line["rows"]),
            cached=sum(line["cached"] for line in lines if line["rows"]),
            is_degraded=any(line["degraded"] or (line["fallback"] and line["rows"]) for line in lines),
            error=f"No ranking, by others.on_error: {failed[-1]}." if failed and not ranked else "",
        )

    def _new_lines(self) -> list[dict[str, Any]]:
        """The lines of the log since the last call: they are in the file before a query's result arrives."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        return [json.loads(line) for line in data.splitlines()]


def _billed(lines: list[dict[str, Any]]) -> tuple[tuple[str, str, float, float, int], ...]:
    sums: dict[tuple[str, str], Counter[str]] = {}
    for line in lines:
        if line["answered"]:
            found = sums.setdefault((line["provider"], line["model"]), Counter())
            for name in ("search_units", "tokens", "answered"):
                found[name] += line[name]
    return tuple((*key, found["search_units"], found["tokens"], found["answered"]) for key, found in sums.items())

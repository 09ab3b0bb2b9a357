"""What is asserted about a peer, each time through SQL: a ranking, an error's code, or any other fact."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from clickhouse_rerank.commands.embedded_engine import Engine, QueryError
from clickhouse_rerank.providers import PROVIDERS

QUERY = "capital of france"
BERLIN, PARIS, WEATHER = (
    "Berlin is the capital of Germany.",
    "Paris is the capital of France.",
    "The weather is sunny today.",
)
DOCUMENTS = (BERLIN, PARIS, WEATHER)
RANKING = [1, 0, 2]
_MAX_SENTENCE = 600
_ROWS = 200

Row = tuple[int, str, float | None]


def own_record(*names: str) -> list[str]:
    """The provider that has one of these names, if there is one: a server may be spoken to without its own."""
    return [record.name for key, record in PROVIDERS.items() if key in names]


class Checks:
    """The engine, and what went right and wrong with one peer."""

    def __init__(self, engine: Engine, verbose: bool) -> None:
        self._engine = engine
        self._verbose = verbose
        self.passed = 0
        self.failed: list[str] = []

    def holds(self, name: str, fact: bool, seen: object = "") -> None:
        """Note whether a fact holds; `seen` explains it when it does not."""
        if fact:
            self.passed += 1
        else:
            self.failed.append(f"{name}: {seen}"[:1000])
        if self._verbose:
            print(f"  {'ok' if fact else 'FAILED'}  {name}: {str(seen)[:300]}", flush=True)

    def ranks(
        self, name: str, provider: str, base_url: str, key: str = "", others: Mapping[str, object] | None = None
    ) -> None:
        """Paris before Berlin before the weather, with finite scores and the documents as they were."""
        try:
            rows = self.rerank(provider, base_url, key, others)
        except QueryError as error:
            self.holds(name, False, error)
            return
        right = [row[0] for row in rows] == RANKING and all(row[1] == DOCUMENTS[row[0]] for row in rows)
        scores = [row[2] for row in rows]
        falls = all(a is not None and b is not None and a > b for a, b in pairwise(scores))
        self.holds(name, right and falls, rows)

    def orders(
        self,
        name: str,
        expected: Sequence[int],
        provider: str,
        base_url: str,
        key: str = "",
        others: Mapping[str, object] | None = None,
        *,
        documents: Sequence[str],
    ) -> None:
        """The best of `documents` are those at `expected`, and come back as they were."""
        try:
            rows = self.rerank(provider, base_url, key, others, documents=documents, top_k=len(expected))
        except QueryError as error:
            self.holds(name, False, error)
            return
        right = [row[0] for row in rows] == list(expected) and all(row[1] == documents[row[0]] for row in rows)
        self.holds(name, right, [(row[0], row[1][:60], row[2]) for row in rows])

    def ranks_rows(
        self, name: str, provider: str, base_url: str, key: str = "", others: Mapping[str, object] | None = None
    ) -> None:
        """200 rows of one query, each with a query text of its own, so that each is a request."""
        arguments = f"{_array(DOCUMENTS)}, 3, {_literals(provider, base_url, key, _json(others))}"
        query = f"concat('{QUERY}', repeat(' ', toUInt8(number)))"
        try:
            rows = self.rows(f"SELECT arrayJoin(Rerank({query}, {arguments})) AS r FROM numbers({_ROWS})")
        except QueryError as error:
            self.holds(name, False, error)
            return
        self.holds(name, [row[0] for row in rows] == RANKING * _ROWS, rows[:6])

    def fails(
        self,
        name: str,
        code: str,
        provider: str,
        base_url: str,
        key: str = "",
        others: Mapping[str, object] | None = None,
        *,
        query: str = QUERY,
        documents: Sequence[str] = DOCUMENTS,
        says: str = "",
    ) -> None:
        """One short sentence with this code, with the peer's own words `says` and without the key or a document."""
        try:
            seen = str(self.rerank(provider, base_url, key, others, query=query, documents=documents))
        except QueryError as error:
            seen = str(error)
        private = [text for text in (key, *(document[:100] for document in documents)) if len(text) > 3]
        fact = seen.startswith(f"Rerank: {code}: ") and says in seen and len(seen) <= _MAX_SENTENCE
        self.holds(name, fact and "\n" not in seen and not any(text in seen for text in private), seen)

    def rerank(
        self,
        provider: str,
        base_url: str,
        key: str = "",
        others: Mapping[str, object] | None = None,
        *,
        query: str = QUERY,
        documents: Sequence[str] = DOCUMENTS,
        top_k: int = 100_000,
    ) -> list[Row]:
        """(index, document, score) of each row of the ranking; a NaN is None. Errors: QueryError."""
        arguments = f"{_array(documents)}, {top_k}, {_literals(provider, base_url, key, _json(others))}"
        return self.rows(f"SELECT arrayJoin(Rerank({_literal(query)}, {arguments})) AS r")

    def rows(self, sql: str) -> list[Row]:
        """The rows of a query whose column `r` holds what Rerank returns."""
        lines = self._engine.query(f"SELECT r.1, r.2, r.3 FROM ({sql})", "JSONCompactEachRow").splitlines()
        return [tuple(json.loads(line.decode("utf-8", "surrogateescape"))) for line in lines]

    def values(self, sql: str) -> list[Any]:
        """The column `value` of a query, in the order of its rows. Errors: QueryError."""
        return [json.loads(line)["value"] for line in self._engine.query(sql, "JSONEachRow").splitlines()]


def _json(others: Mapping[str, object] | None) -> str:
    return "" if others is None else json.dumps(others)


def _array(texts: Sequence[str]) -> str:
    return f"[{_literals(*texts)}]"


def _literals(*texts: str) -> str:
    return ", ".join(map(_literal, texts))


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

"""The demonstration: a RAG query on the embedded engine, its candidates before and after Rerank.

The corpus, demo_corpus.tsv, has for two questions a few documents that answer them, and many that only look like it.
Its embeddings are hashed pieces of words, computed in SQL: they find what resembles the question, not what answers it.
"""

import json
import shutil
import sys
from importlib.resources import as_file, files
from itertools import zip_longest
from typing import Any, NamedTuple
from unicodedata import combining, east_asian_width

from .embedded_engine import Engine, QueryError

QUESTIONS = {"en": "What keeps bread fresh and its crust crisp?", "ja": "夜中に猫が鳴くのはなぜ？"}
_CANDIDATES = 20
_KEPT = 5
_MIN_COLUMNS, _COLUMNS, _MAX_COLUMNS = 80, 130, 160

_SETUP = """\
-- A stand-in for an embedding model: pairs and triples of letters, hashed into 128 dimensions, normalised.
CREATE OR REPLACE FUNCTION demo_embedding AS (text) ->
    arrayMap(
        counts -> arrayMap(x -> toFloat32(x / L2Norm(counts)), counts),
        [arrayMap(
            hashes -> arrayMap(slot -> countEqual(hashes, slot) - countEqual(hashes, slot + 128), range(128)),
            [arrayMap(
                gram -> cityHash64(gram) % 256,
                arrayConcat(ngrams(concat(' ', lowerUTF8(text), ' '), 2), ngrams(concat(' ', lowerUTF8(text), ' '), 3))
            )]
        )[1]]
    )[1];

CREATE TABLE demo_docs (
    id UInt32,
    answers LowCardinality(String),
    text String,
    embedding Array(Float32) DEFAULT demo_embedding(text),
    INDEX nearest embedding TYPE vector_similarity('hnsw', 'cosineDistance', 128) GRANULARITY 100000000
) ENGINE = MergeTree ORDER BY id;

INSERT INTO demo_docs (id, answers, text)
SELECT * FROM file({corpus}, 'TSV', 'id UInt32, answers String, text String');
"""

_BEFORE = """\
-- {question}
-- The candidates, nearest first.
SELECT answers, text, cosineDistance(embedding, demo_embedding({literal})) AS distance
FROM demo_docs
ORDER BY distance
LIMIT {candidates};
"""

_AFTER = """\
-- The same candidates, reranked; r.1 counts from 0.
SELECT answers[r.1 + 1] AS answer, r.1 + 1 AS was, r.3 AS score, r.2 AS text
FROM (
    SELECT groupArray(answers) AS answers, groupArray(text) AS texts
    FROM (
        SELECT answers, text
        FROM demo_docs
        ORDER BY cosineDistance(embedding, demo_embedding({literal}))
        LIMIT {candidates}
    )
)
ARRAY JOIN Rerank({literal}, texts, {kept}, {call}) AS r
ORDER BY score DESC, was;
"""


_Row = tuple[bool, tuple[str, ...], str]
"""Whether a document answers the question, its numbers, its text."""


class _Half(NamedTuple):
    """One half of a table."""

    title: str
    heads: tuple[str, ...]
    rows: list[_Row]

    def lines(self, columns: int) -> list[str]:
        lines = [_fit(self.title, columns), self._line("  ", self.heads, "document", columns)]
        return lines + [self._line("* " if hit else "  ", cells, text, columns) for hit, cells, text in self.rows]

    def _line(self, mark: str, cells: tuple[str, ...], text: str, columns: int) -> str:
        numbers = "  ".join(cell.rjust(len(head)) for cell, head in zip(cells, self.heads, strict=True))
        return _fit(f"{mark}{numbers}  {text}", columns)

    def hits(self) -> int:
        return sum(hit for hit, _, _ in self.rows[:_KEPT])


def run(provider: str, base_url: str, model: str) -> int:
    """Print the demonstration; the exit code."""
    columns = min(max(shutil.get_terminal_size((_COLUMNS, 24)).columns, _MIN_COLUMNS), _MAX_COLUMNS)
    others = json.dumps({"model": model}, ensure_ascii=False) if model else ""
    call = f"{_literal(provider)}, {_literal(base_url)}, '', {_literal(others)}"
    try:
        with as_file(files(__package__) / "demo_corpus.tsv") as corpus, Engine() as engine:
            script = [_SETUP.format(corpus=_literal(str(corpus)))]
            engine.query(script[0])
            for name, question in QUESTIONS.items():
                words = {"question": question, "literal": _literal(question), "candidates": _CANDIDATES}
                before, after = _BEFORE.format(**words), _AFTER.format(**words, kept=_KEPT, call=call)
                halves = _before(engine, before, name), _after(engine, after, name, provider)
                print("\n".join(_side_by_side(question, halves, columns)))
                script += [before, after]
    except QueryError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    print("The SQL that ran; to run it again: clickhouse-rerank sql -\n")
    print("\n".join(script), end="")
    return 0


def _before(engine: Engine, sql: str, name: str) -> _Half:
    rows: list[_Row] = [
        (answers == name, (str(rank), f"{distance:.3f}"), text)
        for rank, (answers, text, distance) in enumerate(_rows(engine, sql), 1)
    ]
    return _Half(f"Before: {len(rows)} by vector search", (" #", "distance"), rows)


def _after(engine: Engine, sql: str, name: str, provider: str) -> _Half:
    rows: list[_Row] = [
        (answer == name, (str(rank), str(was), "nan" if score is None else f"{score:.3f}"), text)
        for rank, (answer, was, score, text) in enumerate(_rows(engine, sql), 1)
    ]
    return _Half(f"After: {len(rows)} by Rerank, {provider}", ("#", "was", "  score"), rows)


def _rows(engine: Engine, sql: str) -> list[list[Any]]:
    return [json.loads(line) for line in engine.query(sql, "JSONCompactEachRow").splitlines()]


def _side_by_side(question: str, halves: tuple[_Half, _Half], columns: int) -> list[str]:
    width = (columns - 3) // 2
    left, right = halves
    pairs = zip_longest(left.lines(width), right.lines(width), fillvalue=" " * width)
    table = [f"{one} | {other}".rstrip() for one, other in pairs]
    found = f"* answers the question. Among the first {_KEPT}: {left.hits()} before, {right.hits()} after."
    return [f"Question: {question}", "", table[0], "-" * width + "-+-" + "-" * width, *table[1:], "", found, ""]


def _fit(text: str, columns: int) -> str:
    """The text cut or padded to so many terminal columns; East Asian characters take two."""
    widths = [0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text]
    if sum(widths) > columns:
        while sum(widths) > columns - 2:
            widths.pop()
        text = text[: len(widths)] + ".."
    return text + " " * (columns - sum(widths) - 2 * (len(text) != len(widths)))


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

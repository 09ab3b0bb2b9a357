"""`clickhouse-rerank demo`: a RAG query on the embedded engine, with its candidates before and after Rerank.

For each of two questions, the corpus in demo_corpus.tsv has a few documents that answer it and many that only resemble
an answer. Its embeddings are hashed letter n-grams, computed in SQL: vector search finds texts that resemble the
question, and not all of them answer it.
"""

import argparse
import json
import shutil
from importlib.resources import as_file, files
from itertools import zip_longest
from typing import NamedTuple
from unicodedata import combining, east_asian_width

from . import interruption, queries
from .console import Console
from .embedded_engine import Engine, QueryError
from .queries import literal, rows

QUESTIONS = {"en": "What keeps bread fresh and its crust crisp?", "ja": "夜中に猫が鳴くのはなぜ？"}
_CANDIDATES = 20
_KEPT = 5
_MIN_COLUMNS, _COLUMNS, _MAX_COLUMNS = 80, 130, 160

EMBEDDING = """\
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

"""

_SETUP = (
    EMBEDDING
    + """\
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
)

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


class _Row(NamedTuple):
    """One document in a table."""

    is_answer: bool
    numbers: tuple[str, ...]
    document: str


class _Table(NamedTuple):
    """One side of the comparison."""

    title: str
    headers: tuple[str, ...]
    """Of the columns with numbers."""
    rows: list[_Row]

    def lines(self, width: int) -> list[str]:
        """The table as lines of this width in terminal columns."""
        lines = [fit_to_width(self.title, width), self._line("  ", self.headers, "document", width)]
        return lines + [self._line("* " if row.is_answer else "  ", *row[1:], width) for row in self.rows]

    def _line(self, mark: str, cells: tuple[str, ...], document: str, width: int) -> str:
        numbers = "  ".join(cell.rjust(len(header)) for cell, header in zip(cells, self.headers, strict=True))
        return fit_to_width(f"{mark}{numbers}  {document}", width)

    def answers(self) -> int:
        """The number of answers among the documents that are kept after reranking."""
        return sum(row.is_answer for row in self.rows[:_KEPT])


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print both tables for each question, and the SQL that made them."""
    width = min(max(shutil.get_terminal_size((_COLUMNS, 24)).columns, _MIN_COLUMNS), _MAX_COLUMNS)
    provider = arguments.provider
    others = json.dumps({"model": arguments.model}, ensure_ascii=False) if arguments.model else ""
    call = f"{literal(provider)}, {literal(arguments.base_url)}, '', {literal(others)}"
    try:
        with (
            interruption.ends_the_process(),
            as_file(files(__package__) / "demo_corpus.tsv") as corpus,
            Engine() as engine,
        ):
            script = [_SETUP.format(corpus=literal(str(corpus)))]
            queries.run(engine, script[0])
            for name, question in QUESTIONS.items():
                fields = {"question": question, "literal": literal(question), "candidates": _CANDIDATES}
                before, after = _BEFORE.format(**fields), _AFTER.format(**fields, kept=_KEPT, call=call)
                tables = _table_before(engine, before, name), _table_after(engine, after, name, provider)
                console.stdout.writelines(f"{line}\n" for line in _side_by_side(question, tables, width))
                script += [before, after]
    except QueryError as error:
        console.stderr.write(" ".join(str(error).split()) + "\n")
        return 1
    console.stdout.write("The SQL that ran; to run it again: clickhouse-rerank sql -\n\n")
    console.stdout.write("\n".join(script))
    return 0


def _table_before(engine: Engine, sql: str, name: str) -> _Table:
    found = [
        _Row(answers == name, (str(rank), f"{distance:.3f}"), text)
        for rank, (answers, text, distance) in enumerate(rows(engine, sql), 1)
    ]
    return _Table(f"Before: {len(found)} by vector search", (" #", "distance"), found)


def _table_after(engine: Engine, sql: str, name: str, provider: str) -> _Table:
    found = [
        _Row(answer == name, (str(rank), str(was), "nan" if score is None else f"{score:.3f}"), text)
        for rank, (answer, was, score, text) in enumerate(rows(engine, sql), 1)
    ]
    return _Table(f"After: {len(found)} by Rerank, {provider}", ("#", "was", "  score"), found)


def _side_by_side(question: str, tables: tuple[_Table, _Table], columns: int) -> list[str]:
    width = (columns - 3) // 2
    before, after = tables
    pairs = zip_longest(before.lines(width), after.lines(width), fillvalue=" " * width)
    lines = [f"{left} | {right}".rstrip() for left, right in pairs]
    found = f"* answers the question. Among the first {_KEPT}: {before.answers()} before, {after.answers()} after."
    return [f"Question: {question}", "", lines[0], "-" * width + "-+-" + "-" * width, *lines[1:], "", found, ""]


def fit_to_width(text: str, width: int) -> str:
    """The text cut or padded to a width in terminal columns; East Asian characters take two, combining ones none."""
    widths = [0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text]
    if sum(widths) > width:
        while sum(widths) > width - 2:
            widths.pop()
        text = text[: len(widths)] + ".."
    return text + " " * (width - sum(widths) - 2 * (len(text) != len(widths)))

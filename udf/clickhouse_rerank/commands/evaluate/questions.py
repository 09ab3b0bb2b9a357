"""Questions, their candidates and judgements: read by SQL from wherever they are, into tables of the engine."""

import re
from dataclasses import dataclass
from pathlib import Path

from .. import queries
from ..embedded_engine import Engine
from ..queries import literal
from .problem import EvaluationError

TABLE = "_rerank_questions"
"""Columns number (from 0), id, question, document_ids, documents, grades, judged, digest."""

_DESCRIBE = "DESCRIBE TABLE file({path}, RowBinaryWithNamesAndTypes)"

_COLUMNS = """\
CREATE TEMPORARY TABLE _rerank_candidates ENGINE = Memory AS
SELECT place, question_id, question, document_id, document, {grade} AS grade
FROM (
    SELECT rowNumberInAllBlocks() AS place, ifNull(toString(question), '') AS question,
        ifNull(toString(document), '') AS document, {question_id} AS question_id, {document_id} AS document_id{more}
    FROM file({path}, RowBinaryWithNamesAndTypes)
)
LIMIT 1 BY question_id, document_id
SETTINGS max_threads = 1
"""

_WRONG_GRADES = """\
SELECT toString(grade) FROM file({path}, RowBinaryWithNamesAndTypes)
WHERE ifNull(toString(grade), '') != '' AND toFloat64OrNull(toString(grade)) IS NULL
LIMIT 1
"""

_JUDGED = """\
CREATE TEMPORARY TABLE _rerank_judgements ENGINE = Memory AS
SELECT question_id, document_id, argMax(given, place) AS grade
FROM ({source})
WHERE given IS NOT NULL
GROUP BY question_id, document_id
SETTINGS max_threads = 1
"""

_OWN_GRADES = "SELECT question_id, document_id, grade AS given, place FROM _rerank_candidates"
_JSON_GRADES = """\
SELECT question AS question_id, document AS document_id, grade AS given, rowNumberInAllBlocks() AS place
FROM file({path}, JSONEachRow, 'question String, document String, grade Nullable(Float64)')"""
_TREC_GRADES = """\
SELECT parts[1] AS question_id, parts[-2] AS document_id, toFloat64OrNull(parts[-1]) AS given, place
FROM (
    SELECT splitByWhitespace(line) AS parts, rowNumberInAllBlocks() AS place
    FROM file({path}, LineAsString, 'line String')
)
WHERE length(parts) IN (3, 4)"""

_GROUPED = """\
CREATE TEMPORARY TABLE _rerank_questions ENGINE = Memory AS
SELECT
    row_number() OVER (ORDER BY first) - 1 AS number, q.id AS id, question,
    arrayMap(c -> c.2, candidates) AS document_ids, arrayMap(c -> c.3, candidates) AS documents,
    arrayMap(c -> c.4, candidates) AS grades, j.judged AS judged,
    lower(hex(SHA256(concat(SHA256(question), arrayStringConcat(arrayMap(d -> SHA256(d), documents)))))) AS digest
FROM (
    SELECT question_id AS id, argMin(question, place) AS question, min(place) AS first,
        arraySort(c -> c.1, groupArray((place, document_id, document, grade))) AS candidates
    FROM (
        SELECT c.place AS place, c.question_id AS question_id, c.question AS question, c.document_id AS document_id,
            c.document AS document, j.grade AS grade
        FROM _rerank_candidates AS c
        LEFT JOIN _rerank_judgements AS j ON c.question_id = j.question_id AND c.document_id = j.document_id
        SETTINGS join_use_nulls = 1
    )
    GROUP BY id
) AS q
LEFT JOIN (
    SELECT question_id AS id, groupArray(grade) AS judged FROM _rerank_judgements GROUP BY id
) AS j ON q.id = j.id
"""

_VALID = """\
SELECT toValidUTF8(id), toValidUTF8(question), arrayMap(x -> toValidUTF8(x), document_ids),
    arrayMap(x -> toValidUTF8(x), documents), grades, judged, digest
FROM {table}
ORDER BY number
"""

_FILE = "SELECT * FROM file({path})"

_BEIR = """\
SELECT run.question_id AS question_id, q.text AS question, run.document_id AS document_id,
    trim(concat(d.title, ' ', d.text)) AS document
FROM (
    SELECT parts[1] AS question_id, parts[3] AS document_id, toFloat64(parts[5]) AS score, toInt64(parts[4]) AS rank
    FROM (SELECT splitByWhitespace(line) AS parts FROM file({run}, LineAsString, 'line String'))
    WHERE length(parts) = 6
) AS run
INNER JOIN file({queries}, JSONEachRow, '_id String, text String') AS q ON run.question_id = q._id
INNER JOIN file({corpus}, JSONEachRow, '_id String, title String, text String') AS d ON run.document_id = d._id
ORDER BY question_id, score DESC, rank"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, with texts as valid UTF-8."""

    id: str
    text: str
    document_ids: tuple[str, ...]
    documents: tuple[str, ...]
    grades: tuple[float | None, ...]
    """Of the candidates; None where nobody judged."""
    judged: tuple[float, ...]
    """Of all documents that somebody judged for the question, candidates or not."""
    digest: str
    """Hash of the question and its candidates, as bytes and in their order."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where questions and judgements come from."""

    name: str
    sql: str
    """A row for each candidate, in the order of the first stage."""
    qrels: Path | None = None
    """Judgements; None for those in the column grade, if it is there."""


def source(questions: str, run: Path | None, qrels: Path | None) -> Source:
    """A SELECT, a file that ClickHouse reads, or a folder in BEIR's layout with a run. Errors: EvaluationError."""
    if re.match(r"[\s(]*(select|with|from)\s", questions, re.IGNORECASE):
        return Source("a query", questions.rstrip("; \n\t"), qrels)
    path = Path(questions)
    if path.is_dir():
        return _beir(path, run, qrels)
    if not path.is_file():
        raise EvaluationError(f"--questions {questions} is neither a SELECT nor a file or folder that exists.")
    if run is not None:
        raise EvaluationError("--run belongs to a folder in BEIR's layout: a file of questions has its own candidates.")
    return Source(path.name, _FILE.format(path=literal(str(path.absolute()))), qrels)


def _beir(folder: Path, run: Path | None, qrels: Path | None) -> Source:
    for needed in (folder / "queries.jsonl", folder / "corpus.jsonl"):
        if not needed.is_file():
            raise EvaluationError(f"{needed} is missing: a folder in BEIR's layout has queries.jsonl and corpus.jsonl.")
    if run is None:
        raise EvaluationError(
            f"{folder} has no candidates. Name those of the first stage, a TREC run, with --run FILE."
        )
    if qrels is None:
        found = sorted((folder / "qrels").glob("*.tsv"))
        tests = [path for path in found if path.name == "test.tsv"] or found
        if len(tests) > 1:
            raise EvaluationError(f"{folder}/qrels has {len(tests)} files. Name one with --qrels FILE.")
        qrels = tests[0] if tests else None
    files = {"run": run, "queries": folder / "queries.jsonl", "corpus": folder / "corpus.jsonl"}
    places = {name: literal(str(path.absolute())) for name, path in files.items()}
    return Source(folder.absolute().name, _BEIR.format(**places), qrels)


def load(engine: Engine, wanted: Source) -> list[Asked]:
    """Make TABLE, and return its rows in the order of `number`. Errors: EvaluationError, QueryError."""
    raw = engine.files / "questions"
    raw.write_bytes(queries.run(engine, wanted.sql, "RowBinaryWithNamesAndTypes"))
    columns = {name for name, *_ in queries.rows(engine, _DESCRIBE.format(path=literal(str(raw))))}
    for needed in ("question", "document"):
        if needed not in columns:
            raise EvaluationError(
                f"The questions have no column {needed}. They need a row for each candidate, with question and "
                "document, and may have question_id, document_id and grade. "
                f"Found: {', '.join(sorted(columns)) or 'none'}."
            )

    def column(name: str, otherwise: str) -> str:
        return f"ifNull(toString({name}), '')" if name in columns else otherwise

    has_grades = "grade" in columns and wanted.qrels is None
    if has_grades:
        _check_grades(engine, raw)
    queries.run(
        engine,
        _COLUMNS.format(
            path=literal(str(raw)),
            question_id=column("question_id", "question"),
            document_id=column("document_id", "lower(hex(sipHash64(document)))"),
            more=", toFloat64OrNull(toString(grade)) AS given" if has_grades else "",
            grade="given" if has_grades else "CAST(NULL, 'Nullable(Float64)')",
        ),
    )
    raw.unlink()
    queries.run(engine, _JUDGED.format(source=_judgements(wanted.qrels)))
    queries.run(engine, _GROUPED)
    found = _fetch(engine)
    if not found:
        raise EvaluationError(f"{wanted.name} has no questions with candidates.")
    if wanted.qrels is not None and not any(question.judged for question in found):
        raise EvaluationError(
            f"{wanted.qrels} judges none of these questions. Its lines are TREC qrels (question 0 document grade), "
            'BEIR\'s table, or JSON: {"question": ..., "document": ..., "grade": ...}. Their ids are those of the '
            "columns question_id and document_id."
        )
    return found


def _check_grades(engine: Engine, raw: Path) -> None:
    for (text,) in queries.rows(engine, _WRONG_GRADES.format(path=literal(str(raw)))):
        raise EvaluationError(
            f"The grade {text[:40]!r} is no number. Write 0 for not relevant, 1 or more for relevant."
        )


def _judgements(qrels: Path | None) -> str:
    if qrels is None:
        return _OWN_GRADES
    with qrels.open("rb") as file:
        is_json = file.read(1) == b"{"
    return (_JSON_GRADES if is_json else _TREC_GRADES).format(path=literal(str(qrels.absolute())))


def _fetch(engine: Engine) -> list[Asked]:
    return [
        Asked(id_, text, tuple(ids), tuple(documents), tuple(grades), tuple(judged), digest)
        for id_, text, ids, documents, grades, judged, digest in queries.rows(engine, _VALID.format(table=TABLE))
    ]

"""The library of SQL functions: each against its definition in Python on thousands of cases, and at its edges."""

from __future__ import annotations

import json
import math
import random
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from clickhouse_rerank.commands import cli, functions
from conftest import ROOT, Sql
from provider import Provider

LIBRARY = dict(functions.library())
CASES = 3_000
NAN = math.nan

Grades = Sequence[float | None]


def gains(grades: Grades, k: int, gain: Callable[[float], float] = float) -> float:
    relevant = [gain(grade) if grade is not None and grade > 0 else 0.0 for grade in grades[: max(k, 0)]]
    return sum(one / math.log2(place + 2) for place, one in enumerate(relevant))


def ideal(judged: Grades) -> list[float]:
    return sorted((grade for grade in judged if grade is not None and grade > 0), reverse=True)


def hits(grades: Grades, k: int | None = None) -> list[bool]:
    return [grade is not None and grade > 0 for grade in (grades if k is None else grades[: max(k, 0)])]


def ratio(one: float, other: float) -> float:
    return one / other if other else 0.0


def average_precision(grades: Grades, judged: Grades, k: int) -> float:
    found = hits(grades, k)
    return ratio(sum(sum(found[:place]) / place for place, hit in enumerate(found, 1) if hit), sum(hits(judged)))


def rbo(one: Sequence[int], other: Sequence[int], p: float) -> float:
    """Webber, Moffat and Zobel, equation 32, by its letter."""
    short, long = sorted((one, other), key=len)
    s, n = len(short), len(long)
    if not s:
        return 0.0
    shared = [len({*short[:d]} & {*long[:d]}) for d in range(n + 1)]
    first = sum(shared[d] / d * p**d for d in range(1, n + 1))
    second = sum(shared[s] * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    return (1 - p) / p * (first + second) + ((shared[n] - shared[s]) / n + shared[s] / s) * p**n


def overlap(one: Sequence[int], other: Sequence[int], k: int) -> float:
    first, second = {*one[:k]}, {*other[:k]}
    return ratio(len(first & second), max(len(first), len(second)))


MEASURES: dict[str, Callable[[Any], float]] = {
    "rerankDCG(grades, k)": lambda c: gains(c["grades"], c["k"]),
    "rerankDCGExp(grades, k)": lambda c: gains(c["grades"], c["k"], lambda grade: 2**grade - 1),
    "rerankNDCG(grades, judged, k)": lambda c: ratio(gains(c["grades"], c["k"]), gains(ideal(c["judged"]), c["k"])),
    "rerankNDCGExp(grades, judged, k)": lambda c: ratio(
        gains(c["grades"], c["k"], lambda grade: 2**grade - 1),
        gains(ideal(c["judged"]), c["k"], lambda grade: 2**grade - 1),
    ),
    "rerankMRR(grades, k)": lambda c: next((1 / n for n, hit in enumerate(hits(c["grades"], c["k"]), 1) if hit), 0.0),
    "rerankMAP(grades, judged, k)": lambda c: average_precision(c["grades"], c["judged"], c["k"]),
    "rerankPrecision(grades, k)": lambda c: ratio(sum(hits(c["grades"], c["k"])), c["k"]),
    "rerankRecall(grades, judged, k)": lambda c: ratio(sum(hits(c["grades"], c["k"])), sum(hits(c["judged"]))),
    "rerankHit(grades, k)": lambda c: float(any(hits(c["grades"], c["k"]))),
    "rerankOverlap(a, b, k)": lambda c: overlap(c["a"], c["b"], c["k"]),
    "rerankRBO(a, b, p)": lambda c: rbo(c["a"], c["b"], c["p"]),
}
MEASURED = (
    "grades Array(Nullable(Float64)), judged Array(Nullable(Float64)), k UInt8, "
    "a Array(UInt32), b Array(UInt32), p Float64"
)


def measured_case(draw: random.Random) -> dict[str, Any]:
    judged = [draw.choice((0, 0, 1, 2, 3, -1)) for _ in range(draw.randint(0, 30))]
    found: list[float | None] = [*draw.sample(judged, draw.randint(0, len(judged))), *[None] * draw.randint(0, 5)]
    draw.shuffle(found)
    ids = range(draw.randint(1, 30))
    return {
        "grades": found,
        "judged": judged,
        "k": draw.randint(0, 12),
        "a": draw.sample(ids, draw.randint(0, len(ids))),
        "b": draw.sample(ids, draw.randint(0, len(ids))),
        "p": draw.choice((0.5, 0.8, 0.9, 0.98)),
    }


def answers(
    sql: Sql, cases: list[dict[str, Any]], structure: str, calls: Sequence[str], folder: Path
) -> list[list[Any]]:
    """The results of the calls for each case, by one query."""
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps({"n": n, **case}) + "\n" for n, case in enumerate(cases)))
    query = f"SELECT {', '.join(calls)} FROM file('{path}', JSONEachRow, 'n UInt32, {structure}') ORDER BY n"
    return [json.loads(line) for line in sql.text(query, "JSONCompactEachRow").splitlines()]


def test_measures_are_what_their_definitions_say(sql: Sql, tmp_path: Path) -> None:
    draw = random.Random(1)
    cases = [measured_case(draw) for _ in range(CASES)]
    found = answers(sql, cases, MEASURED, list(MEASURES), tmp_path)
    for at, (call, expected) in enumerate(MEASURES.items()):
        assert [row[at] for row in found] == pytest.approx([expected(case) for case in cases], abs=1e-9), call


def scaled(values: Sequence[float | None], way: str) -> list[float]:
    known = [value for value in values if value is not None]
    low, high = min(known, default=0), max(known, default=0)
    mean, deviation = (statistics.fmean(known), statistics.pstdev(known)) if known else (0, 0)
    scale: dict[str, Callable[[float], float]] = {
        "Sum": lambda x: x,
        "MinMax": lambda x: (x - low) / (high - low) if high > low else 1.0,
        "ZScore": lambda x: (x - mean) / deviation if deviation else 0.0,
        "DBSF": lambda x: 0.5 + (x - mean) / deviation / 6 if deviation else 0.5,
    }
    return [NAN if value is None else scale[way](value) for value in values]


def ranked(sums: dict[str, float]) -> list[list[Any]]:
    return [[id_, sums[id_]] for id_ in sorted(sums, key=lambda id_: -sums[id_])]  # stable: first seen, first


def fused(case: dict[str, Any], way: str) -> list[list[Any]]:
    sums = dict.fromkeys((id_ for ids in case["lists"] for id_ in ids), 0.0)
    for ids, values, weight in zip(case["lists"], case["scores"], case["weights"], strict=True):
        for place, (id_, value) in enumerate(zip(ids, scaled(values, way), strict=True)):
            if id_ not in ids[:place] and not math.isnan(value):
                sums[id_] += weight * value
    return ranked(sums)


def reciprocal(case: dict[str, Any]) -> list[list[Any]]:
    sums = dict.fromkeys((id_ for ids in case["lists"] for id_ in ids), 0.0)
    for ids in case["lists"]:
        for place, id_ in enumerate(ids, 1):
            sums[id_] += 1 / (case["k"] + place)
    return ranked(sums)


def fused_case(draw: random.Random) -> dict[str, Any]:
    ids = [f"d{n}" for n in range(draw.randint(1, 12))]
    lists = [draw.sample(ids, draw.randint(0, len(ids))) for _ in range(draw.randint(1, 4))]
    scores = [
        [draw.choice((None, 1.0, draw.gauss(0, 3), draw.gauss(5, 1), draw.random())) for _ in own] for own in lists
    ]
    return {
        "lists": lists,
        "scores": scores,
        "weights": [draw.choice((1, 0.3, 2)) for _ in lists],
        "k": draw.randint(1, 60),
    }


def test_fusions_are_what_their_definitions_say(sql: Sql, tmp_path: Path) -> None:
    draw = random.Random(2)
    cases = [fused_case(draw) for _ in range(CASES)]
    ways = ("Sum", "MinMax", "ZScore", "DBSF")
    calls = ["rerankFuseRRF(lists, k)", *(f"rerankFuse{way}(lists, scores, weights)" for way in ways)]
    structure = "lists Array(Array(String)), scores Array(Array(Nullable(Float64))), weights Array(Float64), k UInt8"
    for case, row in zip(cases, answers(sql, cases, structure, calls, tmp_path), strict=True):
        expected = [reciprocal(case), *(fused(case, way) for way in ways)]
        for got, wanted in zip(row, expected, strict=True):
            # Sums of the same numbers differ in their last digits, and so may the order of equal ones.
            assert dict(got) == pytest.approx(dict(wanted), abs=1e-9)
            assert [score for _, score in got] == pytest.approx([score for _, score in wanted], abs=1e-9)


def pairs_of(case: dict[str, Any]) -> list[tuple[float, bool]]:
    return [
        (score, label > 0)
        for score, label in zip(case["scores"], case["labels"], strict=True)
        if score is not None and label is not None
    ]


def bins_of(case: dict[str, Any]) -> Iterator[tuple[float, float, int, float, float]]:
    count = case["bins"]
    for number in range(count):
        own = [one for one in pairs_of(case) if min(count - 1, max(0, math.floor(one[0] * count))) == number]
        if own:
            mean, share = (statistics.fmean(map(float, each)) for each in zip(*own, strict=True))
            yield number / count, (number + 1) / count, len(own), mean, share


def threshold_of(case: dict[str, Any]) -> tuple[float, float, float]:
    pairs = pairs_of(case)
    relevant = sum(label for _, label in pairs)
    best = (NAN, NAN, NAN)
    for cut in sorted({score for score, _ in pairs}, reverse=True):
        kept = [label for score, label in pairs if score >= cut]
        if sum(kept) and sum(kept) / len(kept) >= case["wanted"]:
            best = (cut, sum(kept) / len(kept), sum(kept) / relevant)
    return best


def calibrated_case(draw: random.Random) -> dict[str, Any]:
    count = draw.randint(0, 40)
    return {
        "scores": [draw.choice((None, 0.0, 0.5, 1.0, draw.random(), draw.random())) for _ in range(count)],
        "labels": [draw.choice((None, 0, 0, 1, 2)) for _ in range(count)],
        "bins": draw.randint(1, 15),
        "wanted": draw.choice((0.3, 0.5, 0.8, 1.0)),
    }


def test_calibration_is_what_its_definitions_say(sql: Sql, tmp_path: Path) -> None:
    draw = random.Random(3)
    cases = [calibrated_case(draw) for _ in range(CASES)]
    calls = [
        "rerankBrier(scores, labels)",
        "rerankBins(scores, labels, bins)",
        "rerankECE(scores, labels, bins)",
        "rerankThreshold(scores, labels, wanted)",
    ]
    structure = "scores Array(Nullable(Float64)), labels Array(Nullable(Int8)), bins UInt8, wanted Float64"
    for case, (brier, bins, error, threshold) in zip(
        cases, answers(sql, cases, structure, calls, tmp_path), strict=True
    ):
        pairs, expected = pairs_of(case), list(bins_of(case))
        assert [*map(tuple, bins)] == [pytest.approx(bin_) for bin_ in expected]
        if pairs:
            assert brier == pytest.approx(statistics.fmean((score - label) ** 2 for score, label in pairs))
            wanted = sum(count * abs(mean - share) for _, _, count, mean, share in expected) / len(pairs)
            assert error == pytest.approx(wanted, abs=1e-9)
        else:
            assert (brier, error) == (None, None)  # NaN
        wanted_threshold = threshold_of(case)
        assert [NAN if one is None else one for one in threshold] == pytest.approx(wanted_threshold, nan_ok=True)


EDGES = [
    ("rerankNDCG([], [], 10)", "0"),
    ("rerankNDCG([1, 2], [2, 1], 0)", "0"),
    ("rerankNDCG([1], [1], -1)", "0"),
    ("round(rerankNDCG([toDecimal32(1, 2), NULL], [2, 1], 10), 6)", "0.380094"),
    ("rerankNDCG([1, nan], [nan, 1], 10)", "1"),
    (
        "(rerankMRR([], 3), rerankMAP([], [], 3), rerankPrecision([], 3), rerankRecall([], [], 3), rerankHit([], 3))",
        "(0,0,0,0,0)",
    ),
    ("(rerankPrecision([1], 0), rerankPrecision([1], 10), rerankRecall([1], [], 3))", "(0,0.1,0)"),
    ("(rerankOverlap([], [], 3), rerankRBO([], [], 0.9), rerankRBO([], [1], 0.9))", "(0,0,0)"),
    ("(rerankOverlap(['a'], ['a'], 3), rerankRBO(['a', 'b'], ['a', 'b'], 0.9), rerankRBO([1], [2], 0.9))", "(1,1,0)"),
    ("rerankFuseRRF([[], ['a']], 60)", "[('a',0.01639344262295082)]"),
    ("rerankFuseMinMax([['a'], ['b', 'c']], [[5], [NULL, 2]], [1, 2])", "[('c',2),('a',1),('b',0)]"),
    ("rerankFuseSum([['a', 'b']], [[1, inf]], [1])", "[('a',1),('b',0)]"),
    ("rerankMinMax([2, 2, nan])", "[1,1,nan]"),
    ("rerankZScore([2, 2, NULL])", "[0,0,nan]"),
    (
        "(rerankBrier([], []), rerankECE([], [], 10), rerankBins([], [], 10), rerankThreshold([], [], 0.5))",
        "(nan,nan,[],(nan,nan,nan))",
    ),
    ("rerankThreshold([0.1, 0.9], [1, 0], 0.9)", "(nan,nan,nan)"),
    ("rerankBins([1.5, -1], [1, 0], 2)", "[(0,0.5,1,-1,0),(0.5,1,1,1.5,1)]"),
    ("rerankRows([(7, 'x'), (9, 'y')], [(1, 'b', 0.5), (0, 'a', nan)])", "[(9,'y',0.5),(7,'x',nan)]"),
    ("rerankBestPer(['x', 'x', 'y'], [(1, 'b', 3), (0, 'a', 2), (2, 'c', 1)], 5)", "[(1,'b',3),(2,'c',1)]"),
    ("rerankBestPer(['x', 'x', 'y'], [(1, 'b', 3), (0, 'a', 2), (2, 'c', 1)], 1)", "[(1,'b',3)]"),
    ("rerankNamed([(1, 'b', 0.5)]).document", "['b']"),
]


@pytest.mark.parametrize(("call", "result"), EDGES, ids=[call for call, _ in EDGES])
def test_edges(sql: Sql, call: str, result: str) -> None:
    assert sql.text(f"SELECT {call}").strip() == result


@pytest.mark.parametrize("name", LIBRARY)
def test_each_function_is_explained_and_its_example_runs(sql: Sql, name: str) -> None:
    """The comment begins with the call; the example under it is a query that gives something."""
    comment, _, _ = LIBRARY[name].partition("CREATE")
    own = comment.strip().splitlines()[-10:]
    example = own[-1].removeprefix("-- ")
    assert any(line.startswith(f"-- {name}(") for line in own)
    assert f"{name}(" in example and sql.text(example).strip()


@pytest.mark.parametrize("name", LIBRARY)
def test_no_argument_is_evaluated_twice(name: str) -> None:
    """An argument may be a call that costs money: it stands once in the function, and in no lambda of it."""
    head, _, body = re.sub("--.*", "", LIBRARY[name]).partition(" AS (")[2].partition(") ->")
    for argument in head.split(", "):
        assert len(re.findall(rf"\b{argument}\b", body)) == 1, argument


def test_a_ranking_is_asked_for_once(sql: Sql, provider: Provider) -> None:
    """Through functions that use their argument in several places."""
    call = f"Rerank('b c', ['a', 'b', 'c b', 'b'], 4, 'Cohere', '{provider.url}', 'k', '')"
    assert sql.text(f"SELECT rerankBestPer(['x', 'y', 'y', 'z'], {call}, 2).1").strip() == "[2,3]"
    assert len(provider.requests) == 1
    provider.reset()
    sql.text(f"SELECT rerankThreshold({call.replace('b c', 'c')}.3, [1, 0, 0, 1], 0.5)")
    assert len(provider.requests) == 1


def test_names_of_the_callers_columns_do_not_matter(sql: Sql) -> None:
    """Columns with the names that the functions use inside."""
    lambdas = re.findall(r"\(([a-z_, ]+)\) ->|\b([a-z_]+) ->", "".join(LIBRARY.values()))
    inside = sorted({name for both in lambdas for one in both for name in one.split(", ") if name})
    expected = ["0.4796249331362629\t0.5\t1", "0.6309297535714575\t0.5\t1"]
    assert {"gs", "depth", "place", "ids", "own"} <= {*inside}
    for name in inside:
        query = f"SELECT rerankNDCG({name}, {name}, 2), rerankMRR({name}, 2), rerankRBO({name}, {name}, 0.9)"
        columns = ", ".join(f"[0, 2, _n] AS {other}" for other in inside)
        source = f"SELECT {columns} FROM (SELECT number AS _n FROM numbers(2))"
        assert sql.text(f"{query} FROM ({source}) ORDER BY 1").splitlines() == expected, name


def test_the_library_is_printed_as_it_is_in_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    """With its comments; --replace and --on-cluster change the heads; nothing of a file is lost."""
    assert cli.main(["functions", "--library"]) == 0
    plain = capsys.readouterr().out
    files = sorted((ROOT / "sql" / "library").glob("*.sql"))
    kept = [
        line for file in files for line in file.read_text("utf-8").splitlines() if line and not line.startswith("--")
    ]
    assert [line for line in plain.splitlines() if line and not line.startswith("--")] == kept
    assert cli.main(["functions", "--library", "--replace", "--on-cluster", "{cluster}"]) == 0
    other = capsys.readouterr().out
    assert (
        other.count("CREATE OR REPLACE FUNCTION rerank") == other.count(" ON CLUSTER '{cluster}' AS (") == len(LIBRARY)
    )
    assert all(name.startswith("rerank") for name in LIBRARY)

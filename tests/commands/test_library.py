"""The library of SQL functions: its text, its definitions, its edges, and that no argument is evaluated twice."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import measures
from clickhouse_rerank.commands import cli, functions
from conftest import ROOT, Sql
from provider import Provider

LIBRARY = ROOT / "sql" / "library"
STATEMENTS = dict(functions.library())
RANKED = "CAST([(1, 'b', 0.9), (0, 'a', 0.4), (2, 'c', nan)], 'Array(Tuple(UInt32, String, Float32))')"
CASES = 3000
CLOSE = 1e-6

SAMPLES: dict[str, Sequence[str]] = {
    "rerankRows": ("[(7, 'x'), (8, 'y'), (9, 'z')]", RANKED),
    "rerankNamed": (RANKED,),
    "rerankBestPer": ("['p', 'p', 'q']", RANKED, "2"),
    "rerankGains": ("[1, NULL, 3]",),
    "rerankDCG": ("[1, 0, 3]", "2"),
    "rerankNDCG": ("[1, 0, 3]", "[3, 1, 1]", "3"),
    "rerankNDCGExp": ("[1, 0, 3]", "[3, 1, 1]", "3"),
    "rerankMRR": ("[0, 0, 3]", "3"),
    "rerankMAP": ("[1, 0, 3]", "[3, 1, 1]", "3"),
    "rerankPrecision": ("[1, 0, 3]", "2"),
    "rerankRecall": ("[1, 0, 3]", "[3, 1, 1]", "3"),
    "rerankHit": ("[0, 0, 3]", "2"),
    "rerankRBO": ("['a', 'b', 'c']", "['b', 'd']", "0.8"),
    "rerankOverlap": ("['a', 'b', 'c']", "['b', 'd']", "2"),
    "rerankFuseSum": ("[['a', 'b'], ['b', 'c']]", "[[9, 1], [4, 2]]", "[0.3, 0.7]"),
    "rerankFuseRRF": ("[['a', 'b'], ['b', 'c']]", "10"),
    "rerankMinMax": ("[1, 8, 6, 11]",),
    "rerankZScore": ("[1, 8, 6, 11]",),
    "rerankThreeSigma": ("[1, 8, 6, 11]",),
    "rerankFuseMinMax": ("[['a', 'b'], ['b', 'c']]", "[[9, 1], [4, 2]]", "[0.3, 0.7]"),
    "rerankFuseZScore": ("[['a', 'b'], ['b', 'c']]", "[[9, 1], [4, 2]]", "[0.3, 0.7]"),
    "rerankFuseDBSF": ("[['a', 'b'], ['b', 'c']]", "[[9, 1], [4, 2]]", "[0.3, 0.7]"),
    "rerankLabelled": ("[0.9, 0.6, 0.2]", "[1, 0, 1]"),
    "rerankBrier": ("[0.9, 0.6, 0.2]", "[1, 0, 1]"),
    "rerankReliability": ("[0.9, 0.6, 0.2]", "[1, 0, 1]", "4"),
    "rerankECE": ("[0.9, 0.6, 0.2]", "[1, 0, 1]", "4"),
    "rerankThreshold": ("[0.9, 0.6, 0.2]", "[1, 0, 1]", "0.6"),
    "rerankPlatt": ("[2, 1, 0]", "[1, 1, 0]"),
}
"""Arguments for each function."""


def parameters(name: str) -> list[str]:
    found = re.search(rf"FUNCTION IF NOT EXISTS {name} AS \((.*?)\) ->", STATEMENTS[name])
    assert found
    return found[1].split(", ")


def variables(text: str) -> set[str]:
    """The variables of the lambdas of some SQL: the only names that end with an underscore."""
    return set(re.findall(r"\b[a-z_]+_\b", re.sub(r"--.*|'[^']*'", "", text)))


# --- Its text


def test_each_function_is_described() -> None:
    """What it does, each argument by name, the result, a source for the definition, and an example."""
    assert STATEMENTS.keys() == SAMPLES.keys()
    for name, statement in STATEMENTS.items():
        comment, _, _ = statement.partition("CREATE FUNCTION")
        assert all(line.startswith("--") for line in comment.splitlines()), name
        assert all(f"-- {word}: " in comment for word in ("Result", "Source", "Example")), name
        described = ",".join(re.findall(r"^--   (\w+(?:, \w+)*)  ", comment, re.M)).replace(" ", "").split(",")
        assert described == parameters(name), name
        assert len(parameters(name)) == len(SAMPLES[name])


@pytest.mark.parametrize("name", STATEMENTS)
def test_its_example_is_true(sql: Sql, name: str) -> None:
    """The example in the comment, as it stands there."""
    example = STATEMENTS[name].partition("-- Example: ")[2].partition("\n")[0]
    assert name in example and sql.value(f"SELECT {example}") == 1


def test_what_is_printed_is_what_the_files_say(capsys: pytest.CaptureFixture[str]) -> None:
    """`functions --library` prints the files; its options change the head of each statement and nothing else."""
    text = "\n".join(file.read_text("utf-8") for file in sorted(LIBRARY.iterdir()))
    assert cli.main(["functions", "--library"]) == 0
    assert capsys.readouterr().out == text
    assert cli.main(["functions", "--library", "--replace", "--on-cluster", "o'b"]) == 0
    heads = re.sub(
        r"(?m)^CREATE FUNCTION IF NOT EXISTS (\w+) AS", r"CREATE OR REPLACE FUNCTION \1 ON CLUSTER 'o\\'b' AS", text
    )
    assert capsys.readouterr().out == heads != text


def test_the_page_names_each_function() -> None:
    """docs/library.md has all of them and no other."""
    page = (ROOT / "docs" / "library.md").read_text("utf-8")
    assert set(re.findall(r"\brerank[A-Z]\w+", page)) == STATEMENTS.keys()


# --- What an argument may be


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_argument_is_evaluated_twice(sql: Sql, name: str) -> None:
    """Each argument may be an expensive call: the query has it once, and no part of it is written out again."""
    marked = ", ".join(f"materialize({sample})" for sample in SAMPLES[name])
    tree = [line for (line,) in sql.rows(f"EXPLAIN QUERY TREE SELECT {name}({marked}) FROM numbers(1)")]
    calls = [line for line in tree if "function_name: materialize," in line]
    assert len(calls) == len(SAMPLES[name])


def test_a_row_is_one_request(sql: Sql, provider: Provider) -> None:
    """Measures of what Rerank returned, in one expression, for rows with lists of different lengths."""
    documents = "arrayResize(['a', 'b', 'c'], number + 1)"
    call = f"Rerank(concat('b ', toString(number)), {documents}, 3, 'Cohere', '{provider.url}', 'k', '')"
    rows = sql.rows(
        f"SELECT rerankNDCG(rerankRows([0, 1, 2], {call}).row, [0, 1, 2], 10), number FROM numbers(3) ORDER BY number"
    )
    assert len(provider.requests) == 3
    assert len({value for value, _ in rows}) == 3


@pytest.mark.parametrize("name", STATEMENTS)
def test_names_of_the_caller_do_no_harm(sql: Sql, name: str) -> None:
    """Columns named as the parameters, in another order, and aliases named as every variable of the library."""
    samples, names = SAMPLES[name], parameters(name)
    turned = names[1:] + names[:1]
    columns = ", ".join(f"materialize({sample}) AS {column}" for sample, column in zip(samples, turned, strict=True))
    everything = variables("".join(STATEMENTS.values()))
    assert {"grades_", "score_", "one_", "pairs_"} <= everything
    aliases = ", ".join(f"'no' AS {variable}" for variable in sorted(everything))
    query = f"SELECT toString({name}({', '.join(turned)})), {aliases} FROM (SELECT {columns} FROM numbers(2))"
    constant = sql.value(f"SELECT toString({name}({', '.join(samples)}))")
    assert [row[0] for row in sql.rows(query)] == [constant] * 2


@pytest.mark.parametrize("name", STATEMENTS)
def test_variables_have_names_that_nobody_has(name: str) -> None:
    """They end with an underscore: a parameter's name may be replaced wherever it stands in the body."""
    body = STATEMENTS[name].partition("CREATE FUNCTION")[2].partition(" ->")[2]
    taken = re.findall(r"\(([\w, ]+)\) ->|(\w+) ->", body)
    names = {one for some, single in taken for one in (some or single).split(", ")}
    assert all(one.endswith("_") for one in names), names


def test_in_an_aggregation(sql: Sql) -> None:
    """One group a question, groups of different sizes, with the arrays that groupArray makes."""
    rows = sql.rows(
        "SELECT q, rerankNDCG(groupArray(grade), groupArray(grade), max(k)), rerankFuseRRF([groupArray(id)], 60).id, "
        "rerankBrier(groupArray(grade / 3), groupArray(grade)) FROM "
        "(SELECT number % 3 AS q, number AS id, number % 4 AS grade, 10 AS k FROM numbers(10)) GROUP BY q ORDER BY q"
    )
    assert [ids for _, _, ids, _ in rows] == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    for q, ndcg, ids, _ in rows:
        grades = [one % 4 for one in ids]
        assert ndcg == pytest.approx(measures.ndcg(grades, grades, 10)), q


# --- Cases that were computed by hand

NAN = math.nan
HAND: list[tuple[str, Any]] = [
    ("rerankDCG([3, 2, 3, 0, 1, 2], 6)", 6.861126688593501),
    ("rerankNDCG([3, 2, 3, 0, 1, 2], [3, 3, 3, 2, 2, 2, 1, 0], 6)", 0.785003),
    ("rerankNDCG([0, 0], [1], 10)", 0),
    ("rerankNDCG([1], [1, 1], 10)", 1 / (1 + 1 / math.log2(3))),
    ("rerankNDCG([1, 1], [1, 1], 1)", 1),
    ("rerankNDCG([], [1], 10)", 0),
    ("rerankNDCG([1], [], 10)", 0),
    ("rerankNDCG([], [], 0)", 0),
    ("rerankNDCG([1], [1], 0)", 0),
    ("rerankNDCG([1], [1], -1)", 0),
    ("rerankNDCG([1], [1], NULL)", 0),
    ("rerankNDCG([NULL, nan, -2, 1], [1, NULL, -2], 4)", 1 / math.log2(5)),
    ("rerankNDCG([true, false], [true], 2)", 1),
    ("rerankNDCGExp([1, 3], [3, 1], 2)", (1 + 7 / math.log2(3)) / (7 + 1 / math.log2(3))),
    ("rerankMRR([0, NULL, 1], 3)", 1 / 3),
    ("rerankMRR([0, NULL, 1], 2)", 0),
    ("rerankMRR([], 2)", 0),
    ("rerankMRR([1], NULL)", 0),
    ("rerankMAP([1, 0, 1, 0, 1], [1, 1, 1, 1], 10)", (1 + 2 / 3 + 3 / 5) / 4),
    ("rerankMAP([1, 0, 1, 0, 1], [1, 1, 1, 1], 3)", (1 + 2 / 3) / 4),
    ("rerankMAP([], [], 3)", 0),
    ("rerankMAP([1], [1], 0)", 0),
    ("rerankPrecision([1, 0], 5)", 0.2),
    ("rerankPrecision([1, 0], 0)", 0),
    ("rerankPrecision([], 5)", 0),
    ("rerankPrecision([1], NULL)", 0),
    ("rerankRecall([1, 0, 1], [1, 1, 1], 2)", 1 / 3),
    ("rerankRecall([], [], 2)", 0),
    ("rerankHit([0, 1], 2)", 1),
    ("rerankHit([], 2)", 0),
    ("rerankHit([1], 0)", 0),
    ("rerankRBO(['a', 'b'], ['a', 'b'], 0.9)", 1),
    ("rerankRBO(['a'], ['b'], 0.9)", 0),
    ("rerankRBO(['a', 'b'], ['b', 'a'], 0)", 0),
    ("rerankRBO(['a', 'b'], ['b', 'a'], 1)", 1),
    ("rerankRBO(['a', 'b'], ['b', 'a'], 0.5)", 0.5),
    ("rerankRBO(['a', NULL, 'a', 'b'], ['a', 'b'], 0.5)", 1),
    ("rerankRBO([], [], 0.9)", 1),
    ("rerankRBO([], [1], 0.9)", 0),
    ("rerankOverlap([1, 2, 3], [3, 2, 1], 2)", 0.5),
    ("rerankOverlap([1, 2, 3], [1, 2], 10)", 2 / 3),
    ("rerankOverlap([1], [2], 0)", 1),
    ("rerankOverlap([], [], 3)", 1),
    ("rerankOverlap([], [1], 3)", 0),
    ("rerankFuseSum([['a', 'b'], ['b']], [[nan, 0], [0]], [1, 2])", [("b", 0)]),
    ("rerankFuseSum([['a', 'a', 'c', NULL]], [[-1, -3, inf, 5]], [])", [("a", -1)]),
    ("rerankFuseSum([['b', 'a']], [[1, 1]], [])", [("a", 1), ("b", 1)]),
    ("rerankFuseSum([['a']], [[2]], [0])", [("a", 0)]),
    ("rerankFuseSum([emptyArrayString(), ['a']], [[], [2]], [])", [("a", 2)]),
    ("rerankFuseSum([emptyArrayString()], [[]], [])", []),
    ("rerankFuseSum(CAST([], 'Array(Array(UInt8))'), [], [])", []),
    ("rerankFuseSum([[(1, 'x')], [(1, 'x')]], [[1], [2]], [])", [((1, "x"), 3)]),
    ("rerankFuseRRF([['a', 'b', 'a'], ['b']], 0)", [("b", 1.5), ("a", 1)]),
    ("rerankFuseRRF([['a', NULL, 'b']], NULL)", [("a", 1 / 61), ("b", 1 / 63)]),
    ("rerankFuseRRF([emptyArrayUInt8()], 60)", []),
    ("rerankFuseMinMax([['a', 'b'], ['c']], [[9, 1], [4]], [0.5, 2])", [("c", 2), ("a", 0.5), ("b", 0)]),
    ("rerankMinMax([2, NULL, nan, inf, 4])", [0, NAN, NAN, NAN, 1]),
    ("rerankMinMax([])", []),
    ("rerankMinMax([nan])", [NAN]),
    ("rerankMinMax([5, 5])", [1, 1]),
    ("rerankZScore([5, 5, nan])", [0, 0, NAN]),
    ("rerankZScore([])", []),
    ("rerankThreeSigma([5])", [0.5]),
    ("rerankThreeSigma([5, 5, nan])", [0.5, 0.5, NAN]),
    ("rerankThreeSigma([])", []),
    (f"rerankRows([7, 8, NULL], {RANKED})", [(8, 0.9), (7, 0.4), (None, NAN)]),
    (f"rerankRows([7, 8, 9], {RANKED}).row", [8, 7, 9]),
    (f"rerankRows([(7, 'x'), (8, 'y'), (9, 'z')], {RANKED})[1].row.2", "y"),
    ("rerankRows([7], CAST([], 'Array(Tuple(UInt32, String, Float32))'))", []),
    (f"rerankNamed({RANKED}).document", ["b", "a", "c"]),
    ("rerankNamed([])", []),
    (f"rerankBestPer(['p', 'p', 'q'], {RANKED}, 5)", [(1, "b", 0.9), (2, "c", NAN)]),
    (f"rerankBestPer([NULL, NULL, 'q'], {RANKED}, 5).1", [1, 2]),
    (f"rerankBestPer(['p', 'p', 'q'], {RANKED}, 1).1", [1]),
    (f"rerankBestPer(['p', 'p', 'q'], {RANKED}, 0)", []),
    (f"rerankBestPer(['p', 'p', 'q'], {RANKED}, NULL)", []),
    (f"rerankRows(['x', 'y', 'z'], rerankBestPer([1, 1, 2], {RANKED}, 5)).row", ["y", "z"]),
    ("rerankBrier([0.5, NULL, nan, 1], [1, 1, 1, NULL])", 0.25),
    ("rerankBrier([], [])", NAN),
    ("rerankBrier([0.5], [true])", 0.25),
    ("rerankECE([], [], 10)", NAN),
    ("rerankReliability([0, 1, 0.5], [0, 1, NULL], 4)", [(0, 0.25, 1, 0, 0), (0.75, 1, 1, 1, 1)]),
    ("rerankReliability([], [], 4)", []),
    ("rerankThreshold([0.9, 0.9, 0.5], [1, 0, 0], 0.9)", (NAN, NAN, 0)),
    ("rerankThreshold([0.9, 0.9, 0.5], [1, 0, 1], 0.5)", (0.5, 2 / 3, 1)),
    ("rerankThreshold([0.9, 0.2], [0, 0], 0)", (0.2, 0, 0)),
    ("rerankThreshold([], [], 0.5)", (NAN, NAN, 0)),
    ("rerankPlatt([], [])", (NAN, NAN)),
    ("rerankPlatt([1, 2], [1, 1])", (NAN, NAN)),
    ("rerankPlatt([5, 5], [1, 0])", (NAN, NAN)),
    ("rerankPlatt([1, 2, NULL, nan, 3], [1, 0, 1, 1, NULL])", (-2 * math.log(2), 3 * math.log(2))),
]


def flat(value: object) -> list[object]:
    """The leaves of a nested value."""
    if isinstance(value, dict):
        value = tuple(value.values())
    return [leaf for one in value for leaf in flat(one)] if isinstance(value, list | tuple) else [value]


def same(found: object, expected: object) -> bool:
    ours, theirs = flat(found), flat(expected)
    numbers = all(isinstance(one, int | float) for one in theirs)
    if numbers and len(ours) == len(theirs):
        return ours == pytest.approx(theirs, abs=CLOSE, nan_ok=True)
    return len(ours) == len(theirs) and all(
        (one == other) if isinstance(other, str | None) else one == pytest.approx(other, abs=CLOSE, nan_ok=True)
        for one, other in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize(("expression", "expected"), HAND, ids=[expression for expression, _ in HAND])
def test_what_was_computed_by_hand(sql: Sql, expression: str, expected: object) -> None:
    """Definitions, and what empty arrays, NULL, NaN, k = 0 and k beyond the end give."""
    assert same(found := sql.value(f"SELECT {expression} AS value"), expected), found


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("rerankRBO([1], [1], 1.5)", "p must be a number from 0 to 1"),
        ("rerankRBO([1], [1], NULL)", "p must be a number from 0 to 1"),
        ("rerankBrier([1.5], [1])", "a score is no probability"),
        ("rerankECE([0.5], [1], 0)", "bins must be at least 1"),
        ("rerankECE([0.5], [1], NULL)", "bins must be at least 1"),
        ("rerankFuseSum([['a']], [[1]], [1, 2])", "give one weight for each ranking"),
        (f"rerankRows([7, 8], {RANKED})", "rows has fewer elements"),
        (f"rerankBestPer([7, 8], {RANKED}, 5)", "parents has fewer elements"),
    ],
)
def test_a_mistake_is_an_error_that_names_it(sql: Sql, expression: str, words: str) -> None:
    """What cannot be meant is no number."""
    assert words in sql.error(f"SELECT {expression}")


# --- Random cases against the definitions


def rankings(dice: random.Random) -> dict[str, Any]:
    """A question: documents with and without judgements, two rankings, scores with ties, lists of any length."""
    ids = [f"d{number}" for number in range(dice.randint(1, 30))]
    grades = {one: dice.choice([0, 0, 1, 1, 2, 3, -1]) for one in ids if dice.random() < 0.7}
    a, b = (dice.sample(ids, dice.randint(0, len(ids))) for _ in range(2))
    lists = [dice.sample(ids, dice.randint(0, len(ids))) for _ in range(dice.randint(1, 4))]
    scores = [[round(dice.gauss(0, 5), dice.choice([0, 6])) for _ in each] for each in lists]
    labels = [dice.randint(0, 1) for _ in range(dice.randint(1, 40))]
    return {
        "grades": [grades.get(one) for one in a], "judged": list(grades.values()), "k": dice.randint(0, 35),
        "a": a, "b": b, "p": round(dice.uniform(0.01, 0.99), 3), "lists": lists, "scores": scores,
        "weights": [round(dice.uniform(-1, 2), 3) for _ in lists], "rank_constant": dice.randint(0, 100),
        "probabilities": [round(dice.random(), dice.choice([1, 6])) for _ in labels], "labels": labels,
        "bins": dice.randint(1, 20), "wanted": round(dice.random(), 2),
    }  # fmt: skip


COLUMNS = (
    "grades Array(Nullable(Int8)), judged Array(Nullable(Int8)), k UInt8, a Array(String), b Array(String), p Float64, "
    "lists Array(Array(String)), scores Array(Array(Float64)), weights Array(Float64), rank_constant UInt8, "
    "probabilities Array(Float64), labels Array(UInt8), bins UInt8, wanted Float64"
)
Case = dict[str, Any]


def fused(norm: Callable[[Sequence[float]], Sequence[float]]) -> Callable[[Case], dict[Any, float]]:
    def of(case: Case) -> dict[Any, float]:
        lists = [
            dict(zip(ids, norm(scores) if ids else [], strict=True))
            for ids, scores in zip(case["lists"], case["scores"], strict=True)
        ]
        return measures.weighted_sum(lists, case["weights"])

    return of


def pairs(case: Case) -> list[tuple[float, int]]:
    return list(zip(case["probabilities"], case["labels"], strict=True))


DEFINITIONS: dict[str, Callable[[Case], Any]] = {
    "rerankDCG(grades, k)": lambda one: measures.dcg(one["grades"], one["k"]),
    "rerankNDCG(grades, judged, k)": lambda one: measures.ndcg(one["grades"], one["judged"], one["k"]),
    "rerankNDCGExp(grades, judged, k)": lambda one: measures.ndcg_exp(one["grades"], one["judged"], one["k"]),
    "rerankMRR(grades, k)": lambda one: measures.mrr(one["grades"], one["k"]),
    "rerankMAP(grades, judged, k)": lambda one: measures.average_precision(one["grades"], one["judged"], one["k"]),
    "rerankPrecision(grades, k)": lambda one: measures.precision(one["grades"], one["k"]),
    "rerankRecall(grades, judged, k)": lambda one: measures.recall(one["grades"], one["judged"], one["k"]),
    "rerankHit(grades, k)": lambda one: measures.hit(one["grades"], one["k"]),
    "rerankRBO(a, b, p)": lambda one: measures.rbo(one["a"], one["b"], one["p"]),
    "rerankOverlap(a, b, k)": lambda one: measures.overlap(one["a"], one["b"], one["k"]),
    "rerankFuseRRF(lists, rank_constant)": lambda one: measures.rrf(one["lists"], one["rank_constant"]),
    "rerankFuseSum(lists, scores, weights)": fused(list),
    "rerankFuseMinMax(lists, scores, weights)": fused(measures.min_max),
    "rerankFuseZScore(lists, scores, weights)": fused(measures.z_score),
    "rerankFuseDBSF(lists, scores, weights)": fused(measures.three_sigma),
    "rerankBrier(probabilities, labels)": lambda one: measures.brier(pairs(one)),
    "rerankReliability(probabilities, labels, bins)": lambda one: measures.reliability(pairs(one), one["bins"]),
    "rerankECE(probabilities, labels, bins)": lambda one: measures.ece(pairs(one), one["bins"]),
    "rerankThreshold(probabilities, labels, wanted)": lambda one: measures.threshold(pairs(one), one["wanted"]),
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Case]]:
    """A file of random cases, one a line, and the cases."""
    dice = random.Random(17)
    found = [rankings(dice) for _ in range(CASES)]
    file = tmp_path_factory.mktemp("cases") / "cases.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in found))
    return file, found


def test_platt_scaling_is_where_the_likelihood_is_highest(sql: Sql, tmp_path: Path) -> None:
    """Both derivatives of the likelihood, with Platt's targets, are 0 there: on scales of any size."""
    dice = random.Random(5)
    given = []
    for _ in range(500):
        scale, steepness = dice.choice((0.01, 1, 100)), dice.choice((0.2, 2, 9))
        scores = [dice.gauss(3, 1) for _ in range(dice.randint(4, 60))]
        labels = [int(dice.random() < 1 / (1 + math.exp(-steepness * (score - 3)))) for score in scores]
        if 0 < sum(labels) < len(labels):
            given.append({"s": [scale * score for score in scores], "l": labels})
    file = tmp_path / "cases.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in given))
    query = f"SELECT s, l, rerankPlatt(s, l) FROM file('{file}', 'JSONEachRow', 's Array(Float64), l Array(UInt8)')"
    for scores, labels, found in sql.rows(query):
        slope, intercept = found.values() if isinstance(found, dict) else found
        yes, no = (sum(labels) + 1) / (sum(labels) + 2), 1 / (len(labels) - sum(labels) + 2)
        off = [
            1 / (1 + math.exp(-(slope * score + intercept))) - (yes if label else no)
            for score, label in zip(scores, labels, strict=True)
        ]
        assert sum(off) == pytest.approx(0, abs=CLOSE)
        largest = max(map(abs, scores))
        assert sum(one * score / largest for one, score in zip(off, scores, strict=True)) == pytest.approx(0, abs=CLOSE)


@pytest.mark.parametrize("expression", DEFINITIONS)
def test_random_cases_agree_with_the_definition(sql: Sql, cases: tuple[Path, list[Case]], expression: str) -> None:
    """Thousands of rows in one query; a fusion is sorted by its own scores, then by id, and has each id once."""
    file, given = cases
    order = "SETTINGS max_threads = 1, input_format_parallel_parsing = 0"
    rows = sql.rows(f"SELECT {expression} AS value FROM file('{file}', 'JSONEachRow', '{COLUMNS}') {order}")
    assert len(rows) == CASES
    for (found,), case in zip(rows, given, strict=True):
        expected = DEFINITIONS[expression](case)
        if expression.startswith("rerankFuse"):
            items = [tuple(flat(one)) for one in found]
            assert items == sorted(items, key=lambda one: (-one[1], one[0])), case
            assert len(items) == len(expected), case
            assert dict(items) == pytest.approx(expected, abs=CLOSE), case
        else:
            assert same(found, expected), (case, found, expected)


def test_a_big_ranking(sql: Sql) -> None:
    """Many documents in one row take no more memory than a few times their own."""
    query = (
        "SELECT rerankRBO(range(100000), range(1, 100001), 0.999) + rerankMAP(range(100000), range(100000), 100000)"
        "SETTINGS max_memory_usage = 500000000"
    )
    assert isinstance(sql.value(query), float)

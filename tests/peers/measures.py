"""The library of SQL functions against pytrec_eval, ir-measures, ranx and rbo, on random cases."""

import json
import random
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .checks import Checks
from .environment import environment

_CASES = 4000
_CLOSE = 1e-6
_COLUMNS = (
    "grades Array(Nullable(Int8)), strict_grades Array(Nullable(Int8)), judged Array(Int8), a Array(String), "
    "b Array(String), p Float64, lists Array(Array(String)), scores Array(Array(Float64)), weights Array(Float64), "
    "rank_constant UInt8"
)
_MEASURES = {
    "ndcg": "rerankNDCG({grades}, judged, {k})",
    "ndcg_exp": "rerankNDCGExp({grades}, judged, {k})",
    "mrr": "rerankMRR({grades}, {k})",
    "map": "rerankMAP({grades}, judged, {k})",
    "precision": "rerankPrecision({grades}, {k})",
    "recall": "rerankRecall({grades}, judged, {k})",
    "hit": "rerankHit({grades}, {k})",
}
_FUSIONS = {
    "rrf": "rerankFuseRRF(lists, rank_constant)",
    "minmax": "rerankFuseMinMax(lists, scores, weights)",
    "zscore": "rerankFuseZScore(lists, scores, weights)",
}


def check(checks: Checks) -> None:
    """Every column that the libraries give, within 1e-6 in every case."""
    programs = environment("measures")
    dice = random.Random(20)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "cases.jsonl")
        file.write_text("".join(json.dumps(_case(dice)) + "\n" for _ in range(_CASES)))
        script = Path(__file__).with_name("measures_libraries.py")
        done = subprocess.run(
            [programs / "python", str(script), str(file)], capture_output=True, text=True, check=False, timeout=1800
        )
        if done.returncode:
            checks.holds("the libraries' answers", False, done.stderr.strip().splitlines()[-3:])
            return
        for name, expected in json.loads(done.stdout).items():
            query = f"SELECT {_sql(name)} AS value FROM file('{file}', 'JSONEachRow', '{_COLUMNS}')"
            found = checks.values(f"{query} SETTINGS max_threads = 1, input_format_parallel_parsing = 0")
            apart = [_apart(one, other) for one, other in zip(found, expected, strict=True)]
            agree = len(apart) == _CASES and any(expected) and all(one <= _CLOSE for one in apart)
            checks.holds(f"{name}: {_CASES} cases within {_CLOSE:g}", agree, f"{max(apart):.1e}")


def _sql(name: str) -> str:
    """The expression that a column of the libraries is compared with."""
    library, _, rest = name.partition(" ")
    measure, _, k = rest.partition(" ")
    if library == "rbo":
        return "rerankRBO(a, b, p)"
    if measure == "fuse":
        return _FUSIONS[k]
    return _MEASURES[measure].format(grades="grades" if library == "trec_eval" else "strict_grades", k=k)


def _apart(found: Any, expected: Any) -> float:
    if not isinstance(expected, Mapping):
        return abs(found - expected)
    ours = {one["id"]: one["score"] for one in found}
    if ours.keys() != expected.keys() or len(ours) != len(found):
        return float("inf")
    return max(abs(ours[one] - expected[one]) for one in expected)


def _case(dice: random.Random) -> dict[str, Any]:
    """A question: judgements of some documents, a run with equal scores, one without, and rankings to fuse.

    Rankings to fuse have two scores at least, for ranx has another rule where all scores are equal.
    """
    ids = [f"d{number}" for number in range(dice.randint(2, 40))]
    judgements = {one: dice.choice([0, 0, 1, 1, 2, 3, -1]) for one in ids if dice.random() < 0.6} or {ids[0]: 1}
    run = {one: dice.randint(0, 12) / 4 for one in dice.sample(ids, dice.randint(1, len(ids)))}
    strict = {one: place + dice.random() for place, one in enumerate(dice.sample(ids, dice.randint(1, len(ids))))}
    lists = [dice.sample(ids, dice.randint(2, len(ids))) for _ in range(3)]
    scores = [sorted({dice.gauss(0, 5) for _ in each}, reverse=True) for each in lists]
    a, b = (dice.sample(ids, dice.randint(1, len(ids))) for _ in range(2))
    return {
        "judgements": judgements, "judged": list(judgements.values()), "run": run, "strict_run": strict,
        "grades": [judgements.get(one) for one in _order(run)],
        "strict_grades": [judgements.get(one) for one in _order(strict)],
        "a": a, "b": b, "p": dice.uniform(0.1, 0.98), "lists": lists, "scores": scores,
        "weights": [dice.uniform(0.1, 2) for _ in lists], "rank_constant": dice.randint(0, 100),
    }  # fmt: skip


def _order(run: Mapping[str, float]) -> Iterator[str]:
    """trec_eval's order: by score, equal scores by id, the last id first."""
    return iter(sorted(run, key=lambda one: (run[one], one), reverse=True))

"""What pytrec_eval, ir-measures, ranx and rbo say; runs in an environment that has them.

`measures_libraries.py FILE` reads cases from FILE, one JSON object a line, and prints one JSON object: name of a column
-> its value for each case. A fusion is an object from id to score.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ir_measures
import pytrec_eval
import ranx
import rbo
from ir_measures import AP, RR, P, R, Success, nDCG

Case = Mapping[str, Any]
Column = list[Any]


def trec_eval(cases: Sequence[Case], cutoffs: Iterable[int]) -> dict[str, Column]:
    """pytrec_eval at each cut-off; it orders equal scores itself."""
    qrels = {str(number): case["judgements"] for number, case in enumerate(cases)}
    run = {str(number): case["run"] for number, case in enumerate(cases)}
    names = {"ndcg_cut": "ndcg", "map_cut": "map", "P": "precision", "recall": "recall", "success": "hit"}
    cuts = ",".join(map(str, cutoffs))
    found = pytrec_eval.RelevanceEvaluator(qrels, {f"{name}.{cuts}" for name in names} | {"recip_rank"}).evaluate(run)
    columns = {
        f"trec_eval {ours} {cut}": [found[one][f"{theirs}_{cut}"] for one in qrels]
        for theirs, ours in names.items()
        for cut in cutoffs
    }
    return columns | {"trec_eval mrr 1000": [found[one]["recip_rank"] for one in qrels]}


def measures(cases: Sequence[Case], cutoffs: Iterable[int]) -> dict[str, Column]:
    """ir-measures at each cut-off, for rankings without equal scores: its RR@k has another order of those."""
    qrels = {str(number): case["judgements"] for number, case in enumerate(cases)}
    run = {str(number): case["strict_run"] for number, case in enumerate(cases)}
    names = {"ndcg": nDCG, "map": AP, "precision": P, "recall": R, "hit": Success, "mrr": RR}
    wanted = {measure @ cut: f"ir-measures {name} {cut}" for name, measure in names.items() for cut in cutoffs}
    columns: dict[str, Column] = {name: [0.0] * len(cases) for name in wanted.values()}
    for one in ir_measures.iter_calc(list(wanted), qrels, run):
        columns[wanted[one.measure]][int(one.query_id)] = one.value
    return columns


def ranx_measures(cases: Sequence[Case], cutoffs: Iterable[int]) -> dict[str, Column]:
    """ranx at each cut-off, which has the exponential gain; for rankings without equal scores."""
    qrels = ranx.Qrels({f"{number:06}": dict(case["judgements"]) for number, case in enumerate(cases)})
    run = ranx.Run({f"{number:06}": _floats(case["strict_run"]) for number, case in enumerate(cases)})
    names = {"ndcg_burges": "ndcg_exp", "ndcg": "ndcg", "mrr": "mrr", "map": "map", "precision": "precision"}
    wanted = {f"{theirs}@{cut}": f"ranx {ours} {cut}" for theirs, ours in names.items() for cut in cutoffs}
    ranx.evaluate(qrels, run, list(wanted), make_comparable=True)
    return {
        name: [float(run.scores[theirs][f"{number:06}"]) for number in range(len(cases))]
        for theirs, name in wanted.items()
    }


def fusions(cases: Sequence[Case]) -> dict[str, Column]:
    """ranx's fusions of three rankings each. Without a normalisation, ranx 0.3.21 returns ids that nobody gave it."""
    columns: dict[str, Column] = {name: [] for name in ("rrf", "minmax", "zscore")}
    options = {"rrf": (None, "rrf"), "minmax": ("min-max", "wsum"), "zscore": ("zmuv", "wsum")}
    for number, case in enumerate(cases):
        for name, (norm, method) in options.items():
            runs = [
                ranx.Run({"q": _floats(dict(zip(ids, scores, strict=True)))})
                for ids, scores in zip(case["lists"], case["scores"], strict=True)
            ]
            params = (
                {"k": case["rank_constant"]} if method == "rrf" else {"weights": [float(w) for w in case["weights"]]}
            )
            fused = ranx.fuse(runs, norm=norm, method=method, params=params)
            columns[name].append({str(one): float(score) for one, score in dict(fused.run["q"]).items()})
        if number % 1000 == 999:
            print(f"fusions: {number + 1} of {len(cases)}", file=sys.stderr)
    return {f"ranx fuse {name}": column for name, column in columns.items()}


def _floats(scores: Mapping[str, float]) -> dict[str, float]:
    return {one: float(score) for one, score in scores.items()}


def main(file: str) -> None:
    """Do what the module says."""
    with open(file, encoding="utf-8") as lines:  # noqa: PTH123 - of an argument
        cases = [json.loads(line) for line in lines]
    cutoffs = (1, 3, 5, 10, 20, 50)
    overlaps = [rbo.RankingSimilarity(case["a"], case["b"]).rbo_ext(p=case["p"]) for case in cases]
    columns = trec_eval(cases, cutoffs) | measures(cases, cutoffs) | ranx_measures(cases, cutoffs) | fusions(cases)
    json.dump(columns | {"rbo": [float(value) for value in overlaps]}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])

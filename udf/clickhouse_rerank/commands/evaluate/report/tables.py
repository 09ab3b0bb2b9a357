"""The table of rankers, the table of how alike they are, and the words that explain them."""

from collections.abc import Iterable

from ..results import Estimate, Evaluation, Ranker
from . import figures
from .figures import escaped
from .verdict import best

_MEASURES = {
    "ndcg": "How well the best {k} documents are ordered: 1 if the most relevant stand on top, 0 if none is relevant.",
    "mrr": "How far up the first relevant document stands within the best {k}: 1 in first place, 1/2 in second.",
    "recall": "Which share of a question's relevant documents is among its best {k}.",
    "precision": "Which share of the best {k} documents is relevant.",
    "map": "How far up the relevant documents stand, as a mean over all of them.",
    "hit": "The share of questions with a relevant document within the best {k}.",
}
_FIRST = {"hit@1": "The share of questions whose first document is relevant."}
_TERMS = {
    "95 % interval": "The small numbers and the upright lines. Other questions of the same kind would give "
    "other figures, and in 95 of 100 cases the true one is inside. More questions make it narrower.",
    "p": "How often a lead over the baseline as large as this comes by chance: below 0.05 it is taken as real. "
    "Corrected for the number of rankers (paired randomisation test, Holm).",
    "p50, p95": "How long a question takes: half of them at most p50, 95 of 100 at most p95.",
    "$ per 1,000": "Price of 1,000 questions in US dollars, from the providers' price lists.",
    "Errors": "Questions that got no ranking.",
    "Degraded": "Questions that kept the order of the first stage, or that a fallback answered.",
}
_ALIKE = {
    "RBO": "Rank-biased overlap: how alike two orders are; the top counts most. 1 is equal, 0 has nothing in common.",
    "Shared": "How many of the best {k} documents two rankers have in common.",
}


def _cells(cells: Iterable[str]) -> str:
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _ranker_name(ranker: Ranker, tags: str) -> str:
    made_by = " · ".join(filter(None, (ranker.provider, ranker.model)))
    return (
        f'<th scope="row"><span class="name" dir="auto">{escaped(ranker.name)}</span>{tags}'
        f'<small dir="auto">{escaped(made_by or "order of the first stage")}</small></th>'
    )


def _estimate(estimate: Estimate | None, silver: bool) -> str:
    if estimate is None:
        return figures.UNKNOWN
    mark = '<span class="silver" title="silver: judged by a model"> ◇</span>' if silver else ""
    interval = f"{figures.measure(estimate.low)}–{figures.measure(estimate.high)}"
    return f"{figures.measure(estimate.mean)}{mark}<small>{interval}</small>"


def rankers(evaluation: Evaluation) -> str:
    """The table of rankers, best first; in the given order without judgements; empty without rankers."""
    if not evaluation.rankers:
        return ""
    winner, main = best(evaluation), next(iter(evaluation.measures), "")
    ordered = list(evaluation.rankers)
    if winner:
        ordered.sort(key=lambda ranker: -ranker.measures[main].mean if main in ranker.measures else 1)
    heads = [*([main, "p", *evaluation.measures[1:]] if main else []), "p50", "p95", "Tokens", "$ per 1,000"]
    rows = []
    for ranker in ordered:
        tags = '<span class="tag best">★ best</span>' if ranker is winner else ""
        tags += '<span class="tag">baseline</span>' if ranker.name == evaluation.baseline else ""
        of = [_estimate(ranker.measures.get(name), bool(evaluation.judge)) for name in evaluation.measures]
        if main:
            chance = "" if ranker.p_value is None else escaped(figures.p_value(ranker.p_value))
            real = ranker.p_value is not None and ranker.p_value <= figures.MAX_P_VALUE
            note = f"<small>{'real' if real else 'may be chance'}</small>" if chance else ""
            silver = '<span class="silver"> ◇</span>' if chance and evaluation.judge else ""
            of.insert(1, f"{chance or figures.UNKNOWN}{silver}{note}")
        of += [escaped(figures.seconds(value)) for value in (ranker.seconds_p50, ranker.seconds_p95)]
        of += [f"{ranker.tokens:,}", figures.dollars(ranker.cost_per_1000)]
        of += [
            f'<span class="trouble">{value:,}</span>' if value else "0" for value in (ranker.errors, ranker.degraded)
        ]
        rows.append(f"<tr{' class=best' if ranker is winner else ''}>{_ranker_name(ranker, tags)}{_cells(of)}</tr>")
    columns = "".join(f'<th scope="col">{escaped(name)}</th>' for name in ("Ranker", *heads, "Errors", "Degraded"))
    return f"<thead><tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody>"


def agreements(evaluation: Evaluation) -> str:
    """The table with a row and a column for each ranker; empty if there are no two rankers."""
    pairs = {frozenset((pair.first, pair.second)): pair for pair in evaluation.agreements}
    if not pairs:
        return ""
    names = [ranker.name for ranker in evaluation.rankers]
    rows = []
    for name in names:
        row = []
        for other in names:
            pair = pairs.get(frozenset((name, other)))
            if name == other or pair is None:
                row.append('<td class="none">·</td>' if name == other else f"<td>{figures.UNKNOWN}</td>")
                continue
            shade = max(0, min(9, int(pair.rbo * 10)))
            shared = f"{pair.overlap * evaluation.top_k:.1f} of {evaluation.top_k}"
            row.append(f'<td class="alike{shade}">{figures.measure(pair.rbo)}<small>{shared}</small></td>')
        rows.append(f'<tr><th scope="row" dir="auto">{escaped(name)}</th>{"".join(row)}</tr>')
    columns = "".join(f'<th scope="col" dir="auto">{escaped(name)}</th>' for name in names)
    return f'<thead><tr><td class="none"></td>{columns}</tr></thead><tbody>{"".join(rows)}</tbody>'


def explanations(evaluation: Evaluation) -> str:
    """A sentence or two for each word that the page uses, as the content of a `dl`."""
    words = {}
    for name in evaluation.measures:
        kind, _, k = name.partition("@")
        if meaning := _MEASURES.get(kind.lower()):
            words[name] = _FIRST.get(name.lower()) or meaning.format(k=k or "all")
    for term, meaning in _TERMS.items():
        if evaluation.measures or term not in ("95 % interval", "p"):
            words[term] = meaning
    if evaluation.agreements:
        words |= {term: meaning.format(k=evaluation.top_k) for term, meaning in _ALIKE.items()}
    if evaluation.judge:
        words["◇ silver"] = f"A figure that rests on judgements by the model {evaluation.judge}, not by people."
    return "".join(f"<div><dt>{escaped(term)}</dt><dd>{escaped(meaning)}</dd></div>" for term, meaning in words.items())

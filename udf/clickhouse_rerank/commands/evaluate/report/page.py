"""The page: the template, the parts, and a policy that lets the browser run these scripts and load nothing."""

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime
from importlib.resources import files
from string import Template

from ..results import Evaluation, Ranker
from . import chart, data, figures, tables, verdict
from .figures import escaped

_SCRIPTS = ("marks.js", "orders.js", "questions.js")
_WIDE, _NARROW = (600, 380), (332, 350)


def page(evaluation: Evaluation) -> str:
    """The report as HTML, always the same for the same evaluation."""
    style = _file("page.css")
    script = "\n".join(map(_file, _SCRIPTS))
    lines = verdict.sentences(evaluation)
    asked = figures.count(len(evaluation.questions), "question")
    compared = figures.count(len(evaluation.rankers), "ranker")
    judged = "without judgements"
    if evaluation.measures:
        judged = f"judged by the model {evaluation.judge} (silver)" if evaluation.judge else "judged by people"
    return Template(_file("page.html")).substitute(
        policy=f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        title=escaped(evaluation.title),
        made=escaped(evaluation.made),
        date=escaped(_date(evaluation.made)),
        scope=escaped(f"{asked}, {compared}, {judged}"),
        headline=lines[0],
        verdict="".join(f"<p>{line}</p>" for line in lines[1:]),
        charts=_charts(evaluation),
        tables=_tables(evaluation),
        words=tables.explanations(evaluation),
        method=escaped(_method(evaluation)),
        mode="judged" if evaluation.measures else "unjudged",
        data=data.embedded(evaluation),
    )


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _date(made: str) -> str:
    try:
        time = datetime.fromisoformat(made)
    except ValueError:
        return made
    return f"{time.day} {time:%B %Y}, {time:%H:%M} UTC"


def _method(evaluation: Evaluation) -> str:
    text = f"Rankings are compared down to place {evaluation.top_k}. The baseline is {evaluation.baseline}."
    if evaluation.measures:
        text += f" Intervals and p-values were drawn with the seed {evaluation.seed}."
    return text


def _tables(evaluation: Evaluation) -> str:
    """The figures, then how alike the rankers are; without judgements that is the news, and stands first."""
    note = f"Large: RBO. Small: shared documents among the best {evaluation.top_k}. 1 is equal."
    both = [
        _section("rankers", "The rankers", "", tables.rankers(evaluation)),
        _section("alike", "How alike the rankers are", note, tables.agreements(evaluation)),
    ]
    return "".join(both if evaluation.measures else reversed(both))


def _section(name: str, title: str, note: str, table: str) -> str:
    if not table:
        return ""
    return (
        f'<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>'
        + (f'<p class="note">{note}</p>' if note else "")
        + f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}">'
        f'<table class="{name}">{table}</table>'
        "</div></section>"
    )


def _charts(evaluation: Evaluation) -> str:
    winner = verdict.best(evaluation)
    if winner is None:
        return ""
    main = evaluation.measures[0]
    rankers = [ranker for ranker in evaluation.rankers if main in ranker.measures]

    def point(ranker: Ranker, amount: float, most: float) -> chart.Point:
        role = "best" if ranker is winner else "baseline" if ranker.name == evaluation.baseline else ""
        estimate = ranker.measures[main]
        return chart.Point(ranker.name, amount, most, estimate.low, estimate.mean, estimate.high, role)

    cost = [point(r, r.cost_per_1000, r.cost_per_1000) for r in rankers if r.cost_per_1000 is not None]
    time = [point(ranker, ranker.seconds_p50, ranker.seconds_p95) for ranker in rankers]
    unpriced = [ranker.name for ranker in rankers if ranker.cost_per_1000 is None]
    note = "Upright lines: 95 % interval. Dashed: the baseline. Points on the same spot are moved apart."
    if unpriced:
        note += f" Not shown, because no price is known: {', '.join(unpriced)}."
    quality = main + figures.silver(evaluation.judge)
    by_cost = (_svg("Quality and cost", ("$ per 1,000 questions", quality), cost, figures.dollars), note)
    by_time = (
        _svg("Quality and waiting time", ("time of a question (p50)", quality), time, figures.seconds),
        "Upright lines: 95 % interval. Level lines: from p50 to p95.",
    )
    drawn = "".join(
        f"<figure>{svg}<figcaption>{escaped(words)}</figcaption></figure>" for svg, words in (by_cost, by_time)
    )
    return f'<section class="charts" aria-label="Charts">{drawn}</section>'


def _svg(title: str, axes: tuple[str, str], points: list[chart.Point], shown: Callable[[float], str]) -> str:
    """A chart twice, for wide and for narrow screens: text must not shrink with it."""
    both = (
        f'<div class="{name}">{chart.scatter(title, axes, points, shown, size)}</div>'
        for name, size in (("wide", _WIDE), ("narrow", _NARROW))
        if points
    )
    return f"<h2>{title}</h2>{''.join(both)}"

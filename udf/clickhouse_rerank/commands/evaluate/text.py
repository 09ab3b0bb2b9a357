"""An evaluation as text for a terminal: the table, and the questions that decided it."""

from collections.abc import Iterator, Sequence

from .report import figures
from .results import Evaluation, Question, Ranker

_MOST = 5
_TEXT = 80
_GAP = "  "


def lines(evaluation: Evaluation) -> Iterator[str]:
    """The lines, without their ends."""
    asked = len(evaluation.questions)
    candidates = sum(len(question.candidates) for question in evaluation.questions)
    yield f"{evaluation.title}: {figures.count(asked, 'question')}, {figures.count(candidates, 'candidate')}."
    yield ""
    yield from _columns(_table(evaluation))
    yield ""
    if evaluation.measures:
        yield from _notes(evaluation)
        yield from _decisive(evaluation)
    else:
        yield "Nobody judged the candidates, so no ranker is best. How alike they are (1 is equal):"
        yield ""
        yield from _columns(_alike(evaluation))
        yield from _apart(evaluation)


def _table(evaluation: Evaluation) -> list[list[str]]:
    """The head, and for each ranker a row of figures and one of intervals."""
    marked = [name + figures.silver(evaluation.judge) for name in evaluation.measures]
    chance = ["p"] if evaluation.measures else []
    table = [["ranker", *marked, *chance, "p50", "p95", "tokens", "$ per 1,000", "errors", "degraded"]]
    for ranker in evaluation.rankers:
        table.append([ranker.name, *_measures(evaluation, ranker), *_rest(ranker)])
        if evaluation.measures:
            found = [ranker.measures[name] for name in evaluation.measures]
            table.append(["", *(f"{one.low:.2f}-{one.high:.2f}" for one in found)])
    return table


def _measures(evaluation: Evaluation, ranker: Ranker) -> list[str]:
    if not evaluation.measures:
        return []
    chance = "" if ranker.p_value is None else figures.p_value(ranker.p_value)
    return [*(figures.measure(ranker.measures[name].mean) for name in evaluation.measures), chance]


def _rest(ranker: Ranker) -> list[str]:
    return [
        figures.seconds(ranker.seconds_p50),
        figures.seconds(ranker.seconds_p95),
        f"{ranker.tokens:,}",
        "unknown" if ranker.cost_per_1000 is None else figures.dollars(ranker.cost_per_1000),
        f"{ranker.errors:,}",
        f"{ranker.degraded:,}",
    ]


def _columns(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[at]) for row in table if at < len(row)) for at in range(len(table[0]))]
    for row in table:
        cells = (
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=False))
        )
        yield _GAP.join(cells).rstrip()


def _notes(evaluation: Evaluation) -> Iterator[str]:
    main = evaluation.measures[0]
    yield f"Second lines: 95 % intervals. p: how often chance gives such a lead in {main} over {evaluation.baseline}."
    if evaluation.judge:
        mark = figures.silver(evaluation.judge).strip()
        yield f"Figures marked {mark} rest on the judgements of the model {evaluation.judge}, not of people."
    left_out = sum(not any(order.measures for order in question.orders.values()) for question in evaluation.questions)
    if left_out:
        yield f"{figures.count(left_out, 'question')} without judgements: not in the measures."


def _decisive(evaluation: Evaluation) -> Iterator[str]:
    """For the best ranker, the questions that won and lost most against the baseline."""
    main = evaluation.measures[0]
    others = [ranker for ranker in evaluation.rankers if ranker.name != evaluation.baseline]
    if not others:
        return
    best = max(others, key=lambda ranker: ranker.measures[main].mean).name
    gains = [
        (question.orders[best].measures[main] - question.orders[evaluation.baseline].measures[main], question)
        for question in evaluation.questions
        if question.orders[best].measures
    ]
    for title, ordered in (
        ("won", sorted((one for one in gains if one[0] > 0), key=lambda one: -one[0])),
        ("lost", sorted((one for one in gains if one[0] < 0), key=lambda one: one[0])),
    ):
        yield ""
        yield f"{best} {title} {figures.count(len(ordered), 'question')} against {evaluation.baseline}."
        yield from (f"  {gain:+.3f}  {_named(question)}" for gain, question in ordered[:_MOST])


def _alike(evaluation: Evaluation) -> list[list[str]]:
    table = [["rankers", "RBO", f"shared of {evaluation.top_k}"]]
    for one in evaluation.agreements:
        table.append([f"{one.first}, {one.second}", figures.measure(one.rbo), figures.measure(one.overlap)])
    return table


def _apart(evaluation: Evaluation) -> Iterator[str]:
    """Where the two rankers that are least alike differ most: the questions with the fewest shared documents on top."""
    if not evaluation.agreements:
        return
    pair = min(evaluation.agreements, key=lambda one: one.rbo)
    counted = [
        (len({*first[: evaluation.top_k]} & {*second[: evaluation.top_k]}), number)
        for number, question in enumerate(evaluation.questions)
        if (first := question.orders[pair.first].indexes) and (second := question.orders[pair.second].indexes)
    ]
    yield ""
    yield f"{pair.first} and {pair.second} differ most here (documents that both have among {evaluation.top_k}):"
    yield from (f"  {shared:3}  {_named(evaluation.questions[number])}" for shared, number in sorted(counted)[:_MOST])


def _named(question: Question) -> str:
    text = " ".join(figures.clean(question.text).split())
    text = text if len(text) <= _TEXT else text[: _TEXT - 2] + ".."
    return text if question.id == question.text else f"{figures.clean(question.id)}: {text}"

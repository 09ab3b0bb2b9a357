"""What the figures say, in sentences: which ranker is best, whether that is more than chance, and what it costs."""

from ..results import Evaluation, Ranker
from . import figures
from .figures import escaped


def best(evaluation: Evaluation) -> Ranker | None:
    """The ranker with the highest mean of the main measure, on a tie the baseline; None without judgements."""
    if not (evaluation.measures and evaluation.questions):
        return None
    main = evaluation.measures[0]
    judged = [ranker for ranker in evaluation.rankers if main in ranker.measures]
    return max(judged, key=lambda ranker: (ranker.measures[main].mean, ranker.p_value is None), default=None)


def sentences(evaluation: Evaluation) -> list[str]:
    """HTML of the verdict; the first sentence is the headline."""
    if not evaluation.questions or not evaluation.rankers:
        return ["Nothing was evaluated: there are no questions or no rankers."]
    winner = best(evaluation)
    if winner is None:
        return _without_judgements(evaluation)
    lines = [_headline(evaluation, winner), *_chance(evaluation, winner), _price(evaluation, winner)]
    lines += _cheaper(evaluation, winner) + _trouble(evaluation)
    if evaluation.judge:
        lines.append(
            f"All figures marked ◇ are <strong>silver</strong>: the model {_name(evaluation.judge)} "
            "judged the documents, not people."
        )
    return lines


def _name(name: str) -> str:
    return f'<b class="name" dir="auto">{escaped(name)}</b>'


def _measured_baseline(evaluation: Evaluation) -> Ranker | None:
    """The baseline, if the main measure is known of it."""
    main = evaluation.measures[0]
    baselines = (ranker for ranker in evaluation.rankers if ranker.name == evaluation.baseline)
    return next((ranker for ranker in baselines if main in ranker.measures), None)


def _headline(evaluation: Evaluation, winner: Ranker) -> str:
    if winner.name == evaluation.baseline:
        if len(evaluation.rankers) == 1:
            return f"Only the baseline {_name(winner.name)} was measured."
        return f"No ranker is better than the baseline {_name(winner.name)}."
    base = _measured_baseline(evaluation)
    if base is None:
        return f"{_name(winner.name)} ranks best."
    if winner.p_value is None or winner.p_value > figures.MAX_P_VALUE:
        return f"{_name(winner.name)} ranks best, but the lead over the baseline {_name(base.name)} may be chance."
    return f"{_name(winner.name)} ranks best, and clearly better than the baseline {_name(base.name)}."


def _chance(evaluation: Evaluation, winner: Ranker) -> list[str]:
    main = evaluation.measures[0]
    estimate = winner.measures[main]
    silver = figures.silver(evaluation.judge)
    mean = f"{escaped(main)} is {figures.measure(estimate.mean)}{silver}"
    base = _measured_baseline(evaluation)
    if base is None or winner.name == base.name:
        interval = f"{figures.measure(estimate.low)} to {figures.measure(estimate.high)}"
        return [f"{mean}; the true value is probably between {interval}."]
    line = f"{mean}, for the baseline {figures.measure(base.measures[main].mean)}{silver}."
    if winner.p_value is None:
        return [line]
    p_value = f"p {'' if winner.p_value < 0.001 else '= '}{escaped(figures.p_value(winner.p_value))}"
    if winner.p_value > figures.MAX_P_VALUE:
        asked = figures.count(len(evaluation.questions), "question")
        return [
            line,
            f"With {asked}, a difference like this often comes by chance ({p_value}). More questions would tell.",
        ]
    return [line, f"A difference like this hardly comes by chance ({p_value})."]


def _price(evaluation: Evaluation, winner: Ranker) -> str:
    wait = f"half of the questions take at most {escaped(figures.seconds(winner.seconds_p50))}"
    slow = f"95 of 100 at most {escaped(figures.seconds(winner.seconds_p95))}"
    if winner.cost_per_1000 is None:
        return f"Its price is not known; {wait}, {slow}."
    if not winner.cost_per_1000:
        return f"It costs nothing per question; {wait}, {slow}."
    return f"It costs <b>{figures.dollars(winner.cost_per_1000)}</b> for 1,000 questions; {wait}, {slow}."


def _cheaper(evaluation: Evaluation, winner: Ranker) -> list[str]:
    """The cheapest ranker that is as good as the best one's interval allows."""
    main, price = evaluation.measures[0], winner.cost_per_1000
    if not price:
        return []
    near = [
        (ranker.cost_per_1000, -ranker.measures[main].mean, ranker.name)
        for ranker in evaluation.rankers
        if main in ranker.measures and ranker.cost_per_1000 is not None and ranker.cost_per_1000 < price
        if ranker.measures[main].mean >= winner.measures[main].low
    ]
    if not near:
        return []
    cost, mean, name = min(near)
    silver = figures.silver(evaluation.judge)
    return [
        f"Cheaper and inside its interval: {_name(name)} with {figures.measure(-mean)}{silver} "
        f"for {figures.dollars(cost)}."
    ]


def _trouble(evaluation: Evaluation) -> list[str]:
    """Rankers whose figures contain questions that they did not rank."""
    return [
        f"{_name(ranker.name)} did not rank all questions: {figures.count(ranker.errors, 'error')}, "
        f"{ranker.degraded:,} degraded."
        for ranker in evaluation.rankers
        if ranker.errors or ranker.degraded
    ]


def _without_judgements(evaluation: Evaluation) -> list[str]:
    lines = ["Nobody has judged the documents yet, so no ranker is best: this page shows where they disagree."]
    pairs = sorted(evaluation.agreements, key=lambda pair: (pair.rbo, pair.first, pair.second))
    if pairs:
        lines.append(f"Most alike are {_pair(evaluation, pairs[-1].first, pairs[-1].second, pairs[-1].overlap)}.")
    if len(pairs) > 1:
        lines.append(f"Least alike are {_pair(evaluation, pairs[0].first, pairs[0].second, pairs[0].overlap)}.")
    lines.append('Mark relevant documents under <a href="#questions">Questions</a> and download your judgements.')
    return lines + _trouble(evaluation)


def _pair(evaluation: Evaluation, first: str, second: str, overlap: float) -> str:
    shared = f"{overlap * evaluation.top_k:.1f} of their best {evaluation.top_k} documents"
    return f"{_name(first)} and {_name(second)}, which share {shared}"

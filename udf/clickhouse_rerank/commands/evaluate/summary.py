"""Answers and measures -> the evaluation that the table, the JSON output and the report show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ...config.prices import Price
from . import measures
from .answers import Answer
from .questions import Asked
from .rankers import Ranker
from .results import Agreement, Candidate, Estimate, Evaluation, Order, Question
from .results import Ranker as RankerFigures
from .statistics import SEED, Bootstrap, holm, p_value, percentile

Prices = Mapping[tuple[str, str], Price]


@dataclass(frozen=True, slots=True)
class Material:
    """All that was asked and answered."""

    title: str
    asked: Sequence[Asked]
    rankers: Sequence[Ranker]
    answers: Mapping[str, Sequence[Answer]]
    """By the ranker's name, one for each question."""
    measured: Mapping[tuple[str, int], Mapping[str, float]]
    agreements: tuple[Agreement, ...]
    baseline: str
    judge: str
    top_k: int


class _Chance:
    """What tells figures from chance: samples of the judged questions, and p-values against the baseline."""

    def __init__(self, material: Material) -> None:
        self.judged = [number for number, question in enumerate(material.asked) if question.judged]
        self.names = measures.names(material.top_k) if self.judged else ()
        self._measured = material.measured
        self._bootstrap = Bootstrap(len(self.judged))
        others = [one.name for one in material.rankers if one.name != material.baseline] if self.names else []
        self.p_values = holm({name: self._p_value(name, material.baseline) for name in others})

    def _p_value(self, one: str, other: str) -> float:
        pairs = zip(self._values(one, self.names[0]), self._values(other, self.names[0]), strict=True)
        return p_value([mine - its for mine, its in pairs])

    def _values(self, ranker: str, measure: str) -> list[float]:
        return [self._measured[ranker, number][measure] for number in self.judged]

    def estimates(self, ranker: str) -> dict[str, Estimate]:
        """By the measure's name."""
        return {name: self._bootstrap.estimate(self._values(ranker, name)) for name in self.names}


def evaluation(material: Material, prices: Prices) -> Evaluation:
    """The figures of all rankers and questions."""
    chance = _Chance(material)
    return Evaluation(
        title=material.title,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        measures=chance.names,
        baseline=material.baseline,
        rankers=tuple(_figures(material, ranker, chance, prices) for ranker in material.rankers),
        questions=tuple(_question(material, number) for number in range(len(material.asked))),
        agreements=material.agreements,
        judge=material.judge,
        top_k=material.top_k,
        seed=SEED,
    )


def _figures(material: Material, ranker: Ranker, chance: _Chance, prices: Prices) -> RankerFigures:
    answers = material.answers[ranker.name]
    waits = _waits(answers)
    return RankerFigures(
        name=ranker.name,
        provider=ranker.record.name if ranker.record else "",
        model=ranker.model,
        measures=chance.estimates(ranker.name),
        p_value=chance.p_values.get(ranker.name),
        seconds_p50=percentile(waits, 0.5),
        seconds_p95=percentile(waits, 0.95),
        tokens=round(sum(tokens for answer in answers for _, _, _, tokens, _ in answer.billed)),
        cost_per_1000=cost_per_1000(answers, prices, is_free=ranker.record is None or ranker.record.is_local),
        errors=sum(bool(answer.error) for answer in answers),
        degraded=sum(answer.is_degraded for answer in answers),
    )


def _waits(answers: Sequence[Answer]) -> list[float]:
    """Seconds, ascending, of the questions that a model answered, and not the cache alone; of all if there are none."""
    answered = [answer for answer in answers if not answer.error]
    asked = [answer for answer in answered if not answer.documents or answer.cached < answer.documents]
    return sorted(answer.seconds for answer in asked or answered)


def cost_per_1000(answers: Sequence[Answer], prices: Prices, *, is_free: bool) -> float | None:
    """The price of 1,000 such questions without a cache; None where a price, or what was billed, is not known."""
    total = 0.0
    for answer in answers:
        for provider, model, units, tokens, answered in answer.billed:
            price = prices.get((provider, model))
            if price is None:
                return None
            total += price.of(units, tokens, answered)
    documents = sum(answer.documents for answer in answers)
    asked = documents - sum(answer.cached for answer in answers)
    done = sum(not answer.error for answer in answers)
    if not asked or not done:
        return 0.0 if is_free else None
    return total * documents / asked / done * 1000


def _question(material: Material, number: int) -> Question:
    asked = material.asked[number]
    return Question(
        id=asked.id,
        text=asked.text,
        candidates=tuple(map(Candidate, asked.document_ids, asked.documents, asked.grades)),
        orders={
            name: Order(
                answers[number].indexes,
                answers[number].scores,
                dict(material.measured.get((name, number), {})),
                answers[number].seconds,
                answers[number].error,
            )
            for name, answers in material.answers.items()
        },
    )

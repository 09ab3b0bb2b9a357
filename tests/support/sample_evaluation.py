"""A sample of an evaluation, made from a seed: the figures follow from the orders, as in a real one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

from clickhouse_rerank.commands.evaluate.results import (
    Agreement,
    Candidate,
    Estimate,
    Evaluation,
    Order,
    Question,
    Ranker,
)

MEASURES = ("nDCG@10", "MRR@10", "recall@10", "hit@1")
TOP_K = 10
RANKERS = {
    # Name: (provider, model, skill, seconds, dollars for 1,000 questions)
    "first stage": ("", "", 0.0, 0.0, 0.0),
    "BM25": ("bm25", "", 0.25, 0.0021, 0.0),
    "CrossEncoder": ("cross-encoder", "ms-marco-MiniLM-L6-v2", 0.9, 0.185, 0.0),
    "hosted, small": ("hosted", "rank-small", 1.15, 0.23, 0.42),
    "hosted, large": ("hosted", "rank-large", 1.4, 0.61, 2.1),
}
_TOPICS = (
    ("How long may I return an unopened parcel?", "parcel return unopened refund box label receipt days"),
    ("Why does my invoice show two currencies?", "invoice currency bank exchange statement account total fee"),
    ("The app signs me out every night", "sign session phone token night update settings app"),
    ("Wie ändere ich die Lieferadresse?", "Adresse Lieferung ändern Konto Bestellung Versand Paket Straße"),
    ("夜中に猫が鳴くのはなぜ？", "猫 夜中 鳴く 運動 ごはん 病気 年 本能"),
    ("كيف أغير كلمة المرور؟", "كلمة المرور تغيير حساب رابط بريد هاتف دقيقة"),
    ("What keeps bread fresh and its crust crisp?", "bread crust crisp paper oven box slice fresh"),
    ("Can two people share one licence?", "licence seat person share team contract user device"),
)
_FILLER = ("the", "of", "for", "and", "with", "when", "after", "before", "if", "by", "each", "one", "more", "is", "not")


def _text(random_: random.Random, words: list[str], length: int) -> str:
    letters = [random_.choice(words if random_.random() < 0.45 else _FILLER) for _ in range(length)]
    return " ".join(letters).capitalize() + "."


def _measures(order: list[int], grades: list[float]) -> dict[str, float]:
    top = [grades[index] for index in order[:TOP_K]]
    gains = sum(grade / math.log2(place + 2) for place, grade in enumerate(top))
    best = sum(grade / math.log2(place + 2) for place, grade in enumerate(sorted(grades, reverse=True)[:TOP_K]))
    first = next((place for place, grade in enumerate(top) if grade), None)
    relevant = sum(map(bool, grades))
    return {
        "nDCG@10": gains / best if best else 0.0,
        "MRR@10": 0.0 if first is None else 1 / (first + 1),
        "recall@10": sum(map(bool, top)) / relevant if relevant else 0.0,
        "hit@1": float(bool(top and top[0])),
    }


def _question(random_: random.Random, number: int, candidates: int) -> Question:
    title, words = _TOPICS[number % len(_TOPICS)]
    grades = [random_.choice((1.0, 1.0, 2.0)) if random_.random() < 0.16 else 0.0 for _ in range(candidates)]
    documents = tuple(
        Candidate(f"doc-{number * candidates + at}", _text(random_, words.split(), random_.randint(8, 60)), grade)
        for at, grade in enumerate(grades)
    )
    orders = {}
    for name, (_, _, skill, seconds, _) in RANKERS.items():
        scores = [skill * grade + random_.gauss(0, 0.8) for grade in grades]
        order = sorted(range(candidates), key=lambda at: -scores[at]) if skill else list(range(candidates))
        shown = tuple(round(scores[at], 4) if skill else None for at in order)
        orders[name] = Order(tuple(order), shown, _measures(order, grades), seconds * random_.uniform(0.7, 1.6), "")
    return Question(f"q{number + 1}", title if number < len(_TOPICS) else f"{title} ({number})", documents, orders)


def _overlap(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    return len({*one[:TOP_K]} & {*other[:TOP_K]}) / TOP_K


def _rbo(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    depths = range(1, min(len(one), len(other)) + 1)
    weights = [0.9**depth for depth in depths]
    shared = (len({*one[:depth]} & {*other[:depth]}) / depth for depth in depths)
    return sum(weight * share for weight, share in zip(weights, shared, strict=True)) / (sum(weights) or 1)


def _mean(
    alike: Callable[[tuple[int, ...], tuple[int, ...]], float], one: str, other: str, questions: tuple[Question, ...]
) -> float:
    return sum(alike(question.orders[one].indexes, question.orders[other].indexes) for question in questions) / len(
        questions
    )


def _ranker(random_: random.Random, name: str, questions: tuple[Question, ...]) -> Ranker:
    provider, model, skill, seconds, cost = RANKERS[name]
    measures = {}
    for measure in MEASURES:
        values = [question.orders[name].measures[measure] for question in questions]
        mean = sum(values) / len(values)
        half = 1.96 * math.sqrt(sum((value - mean) ** 2 for value in values)) / len(values)
        measures[measure] = Estimate(mean, max(0.0, mean - half), min(1.0, mean + half))
    p_value = None if not skill else 0.21 if skill < 0.5 else 0.0004
    tokens = len(questions) * 2190 if cost else 0
    errors = sum(bool(question.orders[name].error) for question in questions)
    return Ranker(name, provider, model, measures, p_value, seconds, seconds * 1.9, tokens, cost, errors, 0)


def sample(questions: int = 24, candidates: int = 20, seed: int = 1) -> Evaluation:
    """A judged evaluation of five rankers; one question of the dearest has an error."""
    random_ = random.Random(seed)
    asked = [_question(random_, number, candidates) for number in range(questions)]
    if len(asked) > 3:
        failed = Order(
            (), (), dict.fromkeys(MEASURES, 0.0), 10.0, "Rerank: hosted: no answer within 10 s: set timeout_s"
        )
        asked[3] = replace(asked[3], orders=asked[3].orders | {"hosted, large": failed})
    done = tuple(asked)
    return Evaluation(
        title="Support tickets, autumn",
        made="2026-11-27T09:30:00+00:00",
        measures=MEASURES,
        baseline="first stage",
        rankers=tuple(_ranker(random_, name, done) for name in RANKERS) if done else (),
        questions=done,
        agreements=tuple(
            Agreement(one, other, _mean(_rbo, one, other, done), _mean(_overlap, one, other, done))
            for one, other in combinations(RANKERS, 2)
            if done
        ),
        judge="",
        top_k=TOP_K,
        seed=17,
    )


def unjudged(evaluation: Evaluation) -> Evaluation:
    """The same evaluation as it would be if nobody had judged."""
    return replace(
        evaluation,
        measures=(),
        rankers=tuple(replace(ranker, measures={}, p_value=None) for ranker in evaluation.rankers),
        questions=tuple(
            replace(
                question,
                candidates=tuple(replace(one, grade=None) for one in question.candidates),
                orders={name: replace(order, measures={}) for name, order in question.orders.items()},
            )
            for question in evaluation.questions
        ),
    )

"""`clickhouse-rerank evaluate`: asks each ranker each question on the embedded engine, and says which ranks best."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ...config.settings import Settings, load
from .. import interruption
from ..console import Console
from ..embedded_engine import Engine, QueryError
from . import answers, budget, demo, measures, questions, rankers, text
from .answers import Answer, Answers
from .asking import Asker
from .problem import EvaluationError
from .progress_line import ProgressLine
from .questions import Asked
from .rankers import Ranker
from .results import Evaluation
from .summary import Material, evaluation

_JUDGED_RELEVANT = 0.5
"""The probability from which a judge's yes counts."""
_MAX_FAILURES = 3


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the table, or with --json all figures; write the report."""
    try:
        with interruption.ends_the_process(), Engine(arguments.path, has_usage=True) as engine:
            try:
                found = _Evaluating(engine, arguments, console).evaluation()
            except interruption.Interrupted:
                console.stderr.write("Interrupted. The same command goes on where it was.\n")
                console.stderr.flush()
                raise
    except (QueryError, EvaluationError) as error:
        console.stderr.write(f"{error}\n")
        return 1
    if arguments.report:
        from .report import page

        arguments.report.write_text(page(found), "utf-8", "replace")
    if arguments.json:
        json.dump(_finite(asdict(found)), console.stdout, ensure_ascii=False)
        console.stdout.write("\n")
    else:
        console.stdout.writelines(f"{line}\n" for line in text.lines(found))
        if arguments.report:
            console.stdout.write(f"\nReport: {arguments.report}\n")
    return 0


class _Evaluating:
    """One run of the command."""

    def __init__(self, engine: Engine, arguments: argparse.Namespace, console: Console) -> None:
        self._engine = engine
        self._arguments = arguments
        self._console = console
        self._settings: Settings = load(console.environment, embedded=True)
        self._asker = Asker(engine)

    def evaluation(self) -> Evaluation:
        """The whole story. Errors: EvaluationError, QueryError."""
        given = self._arguments
        title, asked, compared = self._wanted()
        judge = rankers.parse_judge(given.judge, compared, self._settings.credentials) if given.judge else None
        if judge is not None and any(question.judged for question in asked):
            raise EvaluationError("The questions have judgements. Leave out --judge, --qrels or the column grade.")
        baseline = given.baseline or compared[0].name
        if baseline not in [ranker.name for ranker in compared]:
            raise EvaluationError(
                f"--baseline {baseline} is no ranker. Rankers: {', '.join(r.name for r in compared)}."
            )
        found = self._answers([*compared, *([judge] if judge else [])], asked)
        if judge is not None:
            asked = _judged(asked, found.pop(judge.name))
        material = Material(
            title=title,
            asked=asked,
            rankers=compared,
            answers=found,
            measured=measures.measure(self._engine, asked, found, given.top_k),
            agreements=measures.agreements(self._engine, found, given.top_k),
            baseline=baseline,
            judge=judge.name if judge else "",
            top_k=given.top_k,
        )
        return evaluation(material, self._settings.prices)

    def _wanted(self) -> tuple[str, list[Asked], list[Ranker]]:
        """The title, the questions and the rankers."""
        given = self._arguments
        if given.demo:
            return demo.TITLE, demo.load(self._engine), rankers.parse_all(given.ranker or demo.rankers(self._settings))
        if not given.questions or not given.ranker:
            raise EvaluationError("Name --questions and at least one --ranker, or see --demo.")
        compared = rankers.parse_all(given.ranker)
        source = questions.source(given.questions, given.run, given.qrels)
        return source.name, questions.load(self._engine, source), compared

    def _answers(self, asking: Sequence[Ranker], asked: Sequence[Asked]) -> dict[str, list[Answer]]:
        """By the ranker's name: what is known from an earlier run, and the answers to all other questions."""
        home = answers.folder(self._console.environment)
        known = {
            ranker.name: Answers(
                home / f"{ranker.identity(self._settings.models)}.jsonl", is_fresh=self._arguments.fresh
            )
            for ranker in asking
        }
        plans = []
        for ranker in asking:
            open_ = [n for n, question in enumerate(asked) if known[ranker.name].get(question.digest) is None]
            try:
                plans.append(budget.plan(self._engine, ranker, open_))
            except QueryError as error:
                raise EvaluationError(f"{ranker.name}: {error}") from None
        budget.consent(plans, self._arguments.max_cost, self._console)
        line = ProgressLine(self._console.stderr, sum(plan.questions for plan in plans))
        try:
            return {ranker.name: self._ask(ranker, asked, known[ranker.name], line) for ranker in asking}
        finally:
            line.end()

    def _ask(self, ranker: Ranker, asked: Sequence[Asked], known: Answers, line: ProgressLine) -> list[Answer]:
        found = []
        asked_now = failed = 0
        for number, question in enumerate(asked):
            answer = known.get(question.digest)
            if answer is None:
                line.show(ranker.name)
                if not asked_now and ranker.provider:
                    self._asker.warm_up(ranker)
                answer = self._asker.ask(ranker, number, len(question.documents))
                asked_now += 1
                failed += bool(answer.error)
                if failed == asked_now == min(_MAX_FAILURES, len(asked)):
                    raise EvaluationError(
                        f"{ranker.name}: {answer.error} Nothing that it was asked was answered; the same command, "
                        "corrected, goes on where it was."
                    )
                if ranker.provider:
                    known.put(question.digest, answer)
            found.append(answer)
        known.close()
        return found


def _judged(asked: Sequence[Asked], judgements: Sequence[Answer]) -> list[Asked]:
    """The questions with the judge's grades: 1 from a probability of 0.5, else 0; None where it did not answer."""
    found = []
    for question, answer in zip(asked, judgements, strict=True):
        given = {
            index: float(score >= _JUDGED_RELEVANT)
            for index, score in zip(answer.indexes, answer.scores, strict=True)
            if score is not None
        }
        grades = tuple(given.get(index) for index in range(len(question.documents)))
        found.append(replace(question, grades=grades, judged=tuple(given.values())))
    return found


def _finite(value: Any) -> Any:
    """The value for JSON, which has no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, (list, tuple)) else value

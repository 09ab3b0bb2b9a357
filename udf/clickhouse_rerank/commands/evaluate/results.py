"""What an evaluation found: the records that the table, the JSON output and the report are made from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean of a measure over the questions, with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ranker:
    """One ranker's figures over all questions."""

    name: str
    provider: str
    """Empty for the order of the first stage."""
    model: str
    """Empty where the provider's default, or where there is none."""
    measures: dict[str, Estimate]
    """By the measure's name, as in `Evaluation.measures`; empty without judgements."""
    p_value: float | None
    """Of the main measure against the baseline: paired randomisation test, Holm's correction. None for the baseline."""
    seconds_p50: float
    seconds_p95: float
    tokens: int
    cost_per_1000: float | None
    """US dollars for 1,000 questions; None where no price is known."""
    errors: int
    """Questions without a ranking."""
    degraded: int
    """Questions whose ranking is the input's order, or that a fallback answered."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One document that a question's first stage found."""

    id: str
    text: str
    grade: float | None
    """How relevant it is; 0 is not relevant; None is not judged."""


@dataclass(frozen=True, slots=True)
class Order:
    """One ranker's answer to one question."""

    indexes: tuple[int, ...]
    """Of `Question.candidates`, best first; empty after an error."""
    scores: tuple[float | None, ...]
    """One for each index; None where there is none."""
    measures: dict[str, float]
    """By the measure's name; empty without judgements."""
    seconds: float
    error: str
    """The one line that the SQL user sees; else empty."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its candidates in the order of the first stage."""

    id: str
    text: str
    candidates: tuple[Candidate, ...]
    orders: dict[str, Order]
    """By the ranker's name."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two rankers order the candidates, as means over the questions; 1 is equal."""

    first: str
    second: str
    rbo: float
    """Rank-biased overlap with p = 0.9."""
    overlap: float
    """Shared among the best `Evaluation.top_k` of both, as a fraction."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A whole evaluation."""

    title: str
    made: str
    """ISO 8601, UTC."""
    measures: tuple[str, ...]
    """Names in the order of the columns, the main one first, such as nDCG@10 and hit@1; empty without judgements."""
    baseline: str
    """The name of the ranker that others are compared with."""
    rankers: tuple[Ranker, ...]
    questions: tuple[Question, ...]
    agreements: tuple[Agreement, ...]
    """Of each two rankers."""
    judge: str
    """The provider that made the judgements, which are silver then; empty where people made them."""
    top_k: int
    seed: int
    """Of bootstrap and randomisation."""

"""What a measurement is, and how large all of them are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from .work import Work


@dataclass(frozen=True)
class Figure:
    """One line of the report."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = None
    """None where there is no target."""
    detail: str = ""


@dataclass(frozen=True)
class Contest:
    """One work against a provider of one latency, with so many calls in flight."""

    work: Work
    latency_ms: int
    in_flight: int
    target: float = 0.0
    """Wall time / ideal at most; 0 where rows a second count."""
    rows_per_s: float = 0.0
    """Rows a second at least; 0 where wall time / ideal counts."""

    @property
    def title(self) -> str:
        """What is done."""
        work = self.work
        return (
            f"{work.rows:,} rows x {work.documents} documents x {work.size:,} B, {self.latency_ms} ms, "
            f"{self.in_flight} in flight"
        )

    @property
    def short_title(self) -> str:
        """What tells it from the other contests."""
        latency = "" if self.latency_ms == 100 else f"{self.latency_ms} ms, "
        return f"{latency}{self.in_flight} in flight"

    @property
    def ideal_s(self) -> float:
        """The time that the provider alone takes."""
        return self.work.rows * self.latency_ms / 1000 / self.in_flight


@dataclass(frozen=True)
class Contestant:
    """How long one way of doing the work took."""

    name: str
    title: str
    ours: bool
    ratios: Sequence[float]
    """Wall time / (rows x latency / in flight), a round each."""
    cpu_ms_per_row: float
    """Of all its processes; the provider's is not in it."""
    worker_ms_per_row: float = 0.0
    """Of the worker processes alone; 0 for peers."""

    @property
    def ratio(self) -> float:
        """The median."""
        return median(self.ratios)


@dataclass(frozen=True)
class Curve:
    """A cost along one axis."""

    axis: str
    unit: str
    """Of the cost."""
    points: Sequence[tuple[int, float]]
    note: str = ""


@dataclass
class Results:
    """Everything that `make bench` found."""

    figures: list[Figure] = field(default_factory=list)
    contests: dict[Contest, list[Contestant]] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    provider: list[str] = field(default_factory=list)
    """How it was checked that the provider is not what was measured."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rounds: int
    main: Work
    contests: Sequence[Contest]
    serial_rows: int
    latency_calls: int
    codec_rows: int
    cold_starts: int
    memory_rows: int
    duplicate_rows: int
    score_rows: int
    local_rows: int
    library_rows: int
    """Of these, the rows that other libraries score, which take longer."""
    outage_rows: int
    rate_rows: int
    growth_rows: int
    """Rows of a growth curve's point, where rows are not its axis; fewer where a row is large."""
    most_rows: int
    load_s: float
    peer_rounds: Mapping[tuple[int, int], int]
    """By latency in ms and calls in flight: rounds in which peers take part."""


_MAIN, _SMALL = Work(1000, 50, 1000), Work(1000, 20, 500)
FULL = Sizes(
    rounds=5,
    main=_MAIN,
    contests=(
        Contest(_MAIN, 100, 64, target=1.06),
        Contest(_MAIN, 100, 256, target=1.25),
        Contest(_SMALL, 100, 512, target=1.5),
        Contest(replace(_SMALL, rows=5000), 2, 64, rows_per_s=2500),
    ),
    serial_rows=50,
    latency_calls=300,
    codec_rows=5000,
    cold_starts=11,
    memory_rows=100_000,
    duplicate_rows=1000,
    score_rows=65_536,
    local_rows=100,
    library_rows=20,
    outage_rows=500,
    rate_rows=5000,
    growth_rows=2000,
    most_rows=100_000,
    load_s=2.0,
    peer_rounds={(100, 64): 3, (100, 256): 2, (2, 64): 2},
)
QUICK = Sizes(
    rounds=1,
    main=Work(200, 50, 1000),
    contests=(
        Contest(Work(200, 50, 1000), 100, 64, target=1.06),
        Contest(Work(500, 20, 500), 2, 64, rows_per_s=2500),
    ),
    serial_rows=5,
    latency_calls=40,
    codec_rows=400,
    cold_starts=2,
    memory_rows=4000,
    duplicate_rows=200,
    score_rows=8192,
    local_rows=2,
    library_rows=1,
    outage_rows=60,
    rate_rows=600,
    growth_rows=200,
    most_rows=1000,
    load_s=0.3,
    peer_rounds={(100, 64): 1, (2, 64): 1},
)

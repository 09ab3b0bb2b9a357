"""What a measurement is, and how large all of them are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
class Contestant:
    """How long one way of doing the work took."""

    name: str
    title: str
    ours: bool
    ratios: Sequence[float]
    """Wall time / (rows x latency / in flight), a round each."""
    cpu_ms_per_row: float
    """Of all its processes; the provider's is not in it."""

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
    contests: dict[int, list[Contestant]] = field(default_factory=dict)
    """By calls in flight."""
    curves: list[Curve] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    provider: list[str] = field(default_factory=list)
    """How it was checked that the provider is not what was measured."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rounds: int
    main: Work
    serial_rows: int
    latency_calls: int
    codec_rows: int
    cold_starts: int
    memory_rows: int
    duplicate_rows: int
    outage_rows: int
    rate_rows: int
    growth_rows: int
    """Rows of a growth curve's point, where rows are not its axis; fewer where a row is large."""
    most_rows: int
    load_s: float
    peer_rounds: Mapping[int, int]
    """By calls in flight: rounds in which peers take part."""


FULL = Sizes(
    rounds=5,
    main=Work(1000, 50, 1000),
    serial_rows=50,
    latency_calls=300,
    codec_rows=5000,
    cold_starts=11,
    memory_rows=100_000,
    duplicate_rows=1000,
    outage_rows=500,
    rate_rows=5000,
    growth_rows=2000,
    most_rows=100_000,
    load_s=2.0,
    peer_rounds={64: 3, 256: 2},
)
QUICK = Sizes(
    rounds=1,
    main=Work(200, 50, 1000),
    serial_rows=5,
    latency_calls=40,
    codec_rows=400,
    cold_starts=2,
    memory_rows=4000,
    duplicate_rows=200,
    outage_rows=60,
    rate_rows=600,
    growth_rows=200,
    most_rows=1000,
    load_s=0.3,
    peer_rounds={64: 1},
)

"""A chart of quality against an amount as inline SVG: shapes and names tell the rankers apart, not colours."""

from collections.abc import Callable
from dataclasses import dataclass

from . import figures, labels, scales
from .figures import escaped
from .labels import Box

_SHAPES = (
    "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0z",
    "M-5-5h10v10h-10z",
    "M0-6.5L6 4.5h-12z",
    "M0-7L7 0L0 7L-7 0z",
    "M0 6.5L6-4.5h-12z",
    "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    "M-6-3L0-6.5L6-3v6L0 6.5L-6 3z",
)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 32, 46
_MAX_NAME = 26


@dataclass(frozen=True, slots=True)
class Point:
    """One ranker in the chart."""

    name: str
    amount: float
    """On the level axis."""
    most: float
    """The end of the level whisker; `amount` without one."""
    low: float
    mean: float
    high: float
    role: str
    """"best", "baseline" or empty."""


def _apart(positions: list[float], least: float) -> list[float]:
    """The positions, moved so that each two are at least `least` pixels from each other; their order stays."""
    moved = dict(enumerate(positions))
    previous = None
    for index in sorted(moved, key=lambda index: (positions[index], index)):
        if previous is not None and moved[index] - previous < least:
            moved[index] = previous + least
        previous = moved[index]
    return [moved[index] for index in range(len(positions))]


def scatter(
    title: str,
    axes: tuple[str, str],
    points: list[Point],
    shown: Callable[[float], str],
    size: tuple[int, int],
) -> str:
    """The SVG; `axes` are the titles of the level and of the upright axis, `shown` writes an amount."""
    width, height = size
    bottom = height - _BOTTOM
    quality = scales.linear(min(p.low for p in points), max(p.high for p in points), bottom, _TOP)
    amounts = scales.amounts(
        [value for point in points for value in {point.amount, point.most}],
        _LEFT + 14,
        width - _RIGHT - 14,
        width // 110,
    )
    parts = [f"<title>{escaped(title)}</title>"]
    for value in quality.ticks:
        y = quality.position(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{width - _RIGHT}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for value in amounts.ticks:
        x = amounts.position(value)
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom}v5"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 19}" text-anchor="middle">{escaped(shown(value))}</text>'
        )
    parts.append(f'<path class="axis" d="M{_LEFT} {bottom}H{width - _RIGHT}"/>')
    parts.append(
        f'<text class="title" x="{width - _RIGHT}" y="{height - 6}" text-anchor="end">{escaped(axes[0])} →</text>'
        f'<text class="title" x="2" y="12">↑ {escaped(axes[1])}</text>'
    )
    parts += _marks(points, quality, amounts, Box(_LEFT, _TOP - 8, width - 2, bottom - 4))
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">{"".join(parts)}</svg>'


def _marks(points: list[Point], quality: scales.Scale, amounts: scales.Scale, inside: Box) -> list[str]:
    """Whiskers, points and their names."""
    xs = _apart([amounts.position(point.amount) for point in points], 12)
    ys = [quality.position(point.mean) for point in points]
    names = []
    obstacles = []
    parts = []
    for point, x, y in zip(points, xs, ys, strict=True):
        top, low, end = quality.position(point.high), quality.position(point.low), amounts.position(point.most)
        obstacles += [Box(x - 8, y - 8, x + 8, y + 8), Box(x - 3, top, x + 3, low)]
        role = f" {point.role}" if point.role else ""
        parts.append(
            f'<path class="whisker{role}" d="M{x:.1f} {top:.1f}V{low:.1f}'
            f'M{x - 4:.1f} {top:.1f}h8M{x - 4:.1f} {low:.1f}h8"/>'
        )
        if end > x + 8:
            parts.append(f'<path class="whisker{role}" d="M{x:.1f} {y:.1f}H{end:.1f}M{end:.1f} {y - 4:.1f}v8"/>')
            obstacles.append(Box(x, y - 3, end, y + 3))
        if point.role == "baseline":
            parts.append(f'<path class="reference" d="M{inside.left} {y:.1f}H{inside.right - 14}"/>')
        name = figures.clean(point.name)
        name = name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"
        names.append(name + (" (baseline)" if point.role == "baseline" else ""))
    boxes = labels.place(list(zip(xs, ys, names, strict=True)), obstacles, inside)
    for index, (point, x, y, name, box) in enumerate(zip(points, xs, ys, names, boxes, strict=True)):
        role = f" {point.role}" if point.role else ""
        middle = (box.top + box.bottom) / 2
        if abs(middle - y) > labels.HEIGHT * 0.75:
            near = min(max(x, box.left), box.right)
            parts.append(f'<path class="leader" d="M{x:.1f} {y:.1f}L{near:.1f} {middle:.1f}"/>')
        shape = _SHAPES[index % len(_SHAPES)]
        parts.append(f'<path class="point{role}" transform="translate({x:.1f} {y:.1f})" d="{shape}"/>')
        side, at = (
            ("start", box.left)
            if box.left > x
            else ("end", box.right)
            if box.right < x
            else ("middle", (box.left + box.right) / 2)
        )
        parts.append(
            f'<text class="label{role}" x="{at:.1f}" y="{middle + 4.5:.1f}" text-anchor="{side}">{escaped(name)}</text>'
        )
    return parts

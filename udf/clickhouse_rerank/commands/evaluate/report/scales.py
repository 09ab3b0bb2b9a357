"""Axes of charts: from values to pixels, with ticks at round values."""

import math
from typing import NamedTuple

_STEPS = (1, 2, 5, 10)
_LOG_FROM = 20
"""A range of positive values that is wider than this factor gets a logarithmic axis."""
_ZERO_LANE = 36
"""Pixels that a logarithmic axis leaves for values of 0."""


class Scale(NamedTuple):
    """An axis between two pixels."""

    start: float
    end: float
    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def position(self, value: float) -> float:
        """Pixels of a value."""
        if not self.log:
            return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)
        if value < self.low:
            return self.start - _ZERO_LANE
        span = math.log(self.high / self.low)
        return self.start + (self.end - self.start) * math.log(value / self.low) / span


def _round_step(span: float, ticks: int) -> float:
    power = 10.0 ** math.floor(math.log10(span / ticks))
    return next(step * power for step in _STEPS if step * power * ticks >= span * 0.999)


def linear(low: float, high: float, start: float, end: float, ticks: int = 5) -> Scale:
    """An axis that begins and ends at ticks; `end` may be less than `start`."""
    if high - low < 1e-9:
        low, high = low - 0.05 * (abs(low) or 1), high + 0.05 * (abs(high) or 1)
    step = _round_step(high - low, ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = tuple(number * step for number in range(first, last + 1))
    return Scale(start, end, values[0], values[-1], values)


def amounts(values: list[float], start: float, end: float, ticks: int = 5) -> Scale:
    """An axis of amounts from 0; logarithmic where the smallest and the largest are far apart."""
    # Less than a millionth of the largest is as good as 0, and would make the axis too long.
    positive = [value for value in values if value > max(values) / 1e6]
    if not positive:
        return Scale(start, end, 0, 1, (0,))
    low, high = min(positive), max(positive)
    if high / low < _LOG_FROM:
        return linear(0, high, start, end, ticks)
    low, high = low * 0.8, high * 1.25
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside = [10.0**exponent for exponent in exponents if low <= 10.0**exponent <= high]
    if len(inside) > ticks:
        inside = inside[:: math.ceil(len(inside) / ticks)]
    has_zero = len(positive) < len(values)
    return Scale(start + _ZERO_LANE * has_zero, end, low, high, ((0.0,) if has_zero else ()) + tuple(inside), log=True)

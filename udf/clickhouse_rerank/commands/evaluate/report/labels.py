"""Labels of points in a chart, moved apart from each other, from the points and from their whiskers."""

from collections.abc import Iterable
from typing import NamedTuple
from unicodedata import east_asian_width

HEIGHT = 16
"""Pixels of a line of text."""
_GAP = 11
"""Pixels between the middle of a point and its label."""
_MAX_STEPS = 12


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def shared(self, other: "Box") -> float:
        """Area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


def width(text: str) -> float:
    """About how many pixels wide the text is, at 13 pixels."""
    return sum(13.5 if east_asian_width(letter) in "WF" else 7.4 for letter in text)


def place(points: list[tuple[float, float, str]], obstacles: Iterable[Box], inside: Box) -> list[Box]:
    """A box for each point's label, beside the point or above or below that place; (x, y, text) in pixels."""
    taken = [*obstacles]
    placed = []
    for x, y, text in points:
        wide = width(text)
        tried: list[tuple[float, int, int, Box]] = []
        for step in range(_MAX_STEPS):
            for direction in (-1, 1) if step else (0,):
                middle = y + direction * step * HEIGHT / 2
                for left in (x + _GAP, x - _GAP - wide, x - wide / 2):
                    if left == x - wide / 2 and step < 3:
                        continue
                    box = Box(left, middle - HEIGHT / 2, left + wide, middle + HEIGHT / 2)
                    outside = (box.right - box.left) * HEIGHT - box.shared(inside)
                    tried.append((sum(map(box.shared, taken)) + 2 * outside, step, len(tried), box))
        box = min(tried)[-1]
        placed.append(box)
        taken.append(box)
    return placed

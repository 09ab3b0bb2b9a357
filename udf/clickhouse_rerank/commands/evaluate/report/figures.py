"""Figures and foreign text as the report shows them."""

import html
import math
import re

MAX_P_VALUE = 0.05
"""A difference with a higher p-value may be chance."""
UNKNOWN = "–"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    """The text without what a UTF-8 file or an HTML page cannot hold; U+FFFD takes its place."""
    return _UNPRINTABLE.sub("\ufffd", text)


def escaped(text: str) -> str:
    """The text for HTML, also in a quoted attribute."""
    return html.escape(clean(text))


def measure(value: float) -> str:
    """A measure between 0 and 1, with three decimals."""
    return f"{value:.3f}"


def silver(judge: str) -> str:
    """What follows a figure that rests on judgements by a model; `judge` is empty if people judged."""
    return " ◇" if judge else ""


def p_value(value: float) -> str:
    """A p-value, with three decimals or as "< 0.001"."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float) -> str:
    """A duration in milliseconds below one second, else in seconds."""
    if value and value < 0.001:
        return "< 1 ms"
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.2f} s" if value < 10 else f"{value:,.0f} s"


def dollars(value: float | None) -> str:
    """A price in US dollars with at least two significant digits below one dollar."""
    if value is None:
        return UNKNOWN
    if not value or value >= 1:
        return f"${value:,.2f}" if value else "$0"
    return f"${value:.{max(2, 1 - math.floor(math.log10(value)))}f}"


def count(number: int, one: str) -> str:
    """A number with its noun: "1 question", "1,200 questions"."""
    return f"{number:,} {one if number == 1 else one + 's'}"

"""One line of the report."""

from typing import NamedTuple


class Finding(NamedTuple):
    """`good`, or what is wrong with its fix; `text` is one printable line."""

    good: bool
    text: str

"""One line of the report."""

from typing import NamedTuple


class Finding(NamedTuple):
    """`good` if nothing needs to be fixed; `text` is one printable line, with the fix if something does."""

    good: bool
    text: str

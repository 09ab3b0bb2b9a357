"""The parts of the process that a command may use."""

from collections.abc import Mapping
from typing import NamedTuple, TextIO


class Console(NamedTuple):
    """The environment variables and the standard streams; `cli` makes one, and every command is given it."""

    environment: Mapping[str, str]
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO

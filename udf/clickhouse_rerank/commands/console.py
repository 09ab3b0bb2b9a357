"""The parts of the process that a command may use."""

from collections.abc import Mapping
from typing import NamedTuple, TextIO


class Console(NamedTuple):
    """The environment variables and the standard streams; `cli` makes one, and every command is given it."""

    environment: Mapping[str, str]
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO

    def say(self, line: str) -> None:
        """Print a line at once: what comes next may take minutes."""
        self.stdout.write(f"{line}\n")
        self.stdout.flush()

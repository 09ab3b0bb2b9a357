"""The line that says on a terminal how far an evaluation is."""

import contextlib
import time
from typing import TextIO

_EVERY_S = 0.1
_WIPE = "\r\x1b[K"
_COLUMNS = 79


class ProgressLine:
    """One line, rewritten while questions are asked; nothing where there is no terminal."""

    def __init__(self, terminal: TextIO, total: int) -> None:
        self._terminal = terminal
        self._is_shown = terminal.isatty()
        self._total = total
        self._done = 0
        self._began = time.monotonic()
        self._shown_at = 0.0

    def show(self, ranker: str) -> None:
        """Count one question that this ranker is asked next."""
        now = time.monotonic()
        if self._is_shown and now - self._shown_at >= _EVERY_S:
            self._shown_at = now
            left = (now - self._began) / self._done * (self._total - self._done) if self._done else None
            rest = "" if left is None else f", about {left:.0f} s left"
            text = f"{self._done:,} of {self._total:,} answers{rest}: {ranker}"
            self._write(_WIPE + text[:_COLUMNS])
        self._done += 1

    def end(self) -> None:
        """Wipe the line."""
        if self._is_shown:
            self._write(_WIPE)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a terminal that is closed ends the process by a signal
            self._terminal.write(text)
            self._terminal.flush()

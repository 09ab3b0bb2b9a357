"""The time that a call may take.

It starts when the call gets a place among the requests in flight, and again when a rate-limited call that waited in
line gets its next place: waiting in line is bounded by `patience` instead.
"""

import asyncio
from collections.abc import Callable


class Deadline:
    """Counts the seconds of one call, by the clock of the running loop."""

    def __init__(self, seconds: float, patience: "Deadline | None" = None) -> None:
        self.seconds = seconds
        self.patience = patience
        """How long the row may wait in line in all, from the first time that it is rate limited."""
        self.on_begin: Callable[[], None] | None = None
        """Called each time that the clock starts."""
        self.ticket: int | None = None
        """The turn in line of a row whose requests follow one another; None until it has one."""
        self._began = -1.0
        self._used_before_s = 0.0

    def begin(self) -> None:
        """Start the clock, unless it runs already."""
        if self._began < 0:
            self._began = asyncio.get_running_loop().time() - self._used_before_s
            if self.on_begin is not None:
                self.on_begin()

    def follow(self, other: "Deadline") -> None:
        """Count from the moment from which `other` counts."""
        self._began = other._began

    def pause(self) -> None:
        """Stop the clock: a request of the row is answered, and the next `begin` starts it for the next request."""
        self._used_before_s = self.used_s()
        self._began = -1.0

    def restart(self) -> None:
        """Stop the clock and set it back to where the request began; the next `begin` starts it."""
        self._began = -1.0

    def used_s(self) -> float:
        """Seconds that the clock ran; 0 before the start."""
        return asyncio.get_running_loop().time() - self._began if self._began >= 0 else self._used_before_s

    def left_s(self) -> float:
        """Seconds until the end; negative after it."""
        return self.seconds - self.used_s()

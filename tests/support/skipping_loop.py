"""An event loop in which time passes at once: the clock moves to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class Loop(asyncio.SelectorEventLoop):
    """Does no I/O; its time is that of the next timer."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(Skipping(self))

    def time(self) -> float:
        return self.now


class Skipping(selectors.SelectSelector):
    """Lets the time of a wait be over."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everybody waits, and nothing is to come"
        self._loop.now += max(0.0, timeout)
        return []

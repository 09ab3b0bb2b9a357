"""How many requests an endpoint got in the last 30 s, and how many of them it accepted."""

from collections import deque
from collections.abc import Callable

_WINDOW_S = 30.0


class SlidingCounter:
    """Counts of the last 30 s, kept by the second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds: deque[list[int]] = deque()
        """[second of the clock, requests in it, how many of them were accepted]"""
        self._asked = self._accepted = 0
        """Sums over `_seconds`."""

    def add(self, *, accepted: int) -> None:
        """Count one request, accepted (1) or not (0)."""
        self._forget()
        now = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != now:
            self._seconds.append([now, 0, 0])
        self._seconds[-1][1] += 1
        self._seconds[-1][2] += accepted
        self._asked += 1
        self._accepted += accepted

    def lately(self) -> tuple[int, int]:
        """(asked, accepted) of the last 30 s."""
        self._forget()
        return self._asked, self._accepted

    def clear(self) -> None:
        """Forget all requests."""
        self._seconds.clear()
        self._asked = self._accepted = 0

    def _forget(self) -> None:
        since = self._clock() - _WINDOW_S
        while self._seconds and self._seconds[0][0] < since:
            _, asked, accepted = self._seconds.popleft()
            self._asked -= asked
            self._accepted -= accepted

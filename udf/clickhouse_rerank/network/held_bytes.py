"""A budget of bytes that all response bodies of a worker share.

A body that is larger than a piece reserves what it may grow to before it is read on, and the others wait while their
servers are held back by TCP. So many large bodies at a time cost no more memory than the budget.
"""

import asyncio
from collections import deque


class HeldBytes:
    """Reservations in the order in which they are asked for."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._free = budget
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def reserve(self, size: int) -> int:
        """Wait until so many bytes are free, and take them; returns what `release` is to give back."""
        size = min(size, self._budget)
        if size <= self._free and not self._waiting:
            self._free -= size
            return size
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(size)  # given in the same moment in which the row gave up
            else:
                self._waiting.remove((size, turn))
                self._admit()
            raise
        return size

    def release(self, size: int) -> None:
        """Give reserved bytes back."""
        self._free += size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= size
                turn.set_result(None)

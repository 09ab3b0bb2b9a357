"""A budget of bytes that all response bodies of a worker share.

A body that is larger than a piece reserves what it may grow to before it is read on, and the others wait while their
servers are held back by TCP. So many large bodies at a time cost no more memory than the budget. Half of it is the most
that one host holds: a server that sends large bodies and never ends them does not stop those of other servers.
"""

import asyncio
from collections import Counter, deque


class HeldBytes:
    """Reservations in the order in which they are asked for; a host that holds its share is overtaken."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._free = budget
        self._held: Counter[str] = Counter()
        self._waiting: deque[tuple[int, str, asyncio.Future[None]]] = deque()

    async def reserve(self, size: int, host: str) -> int:
        """Wait until so many bytes are free, and take them; returns what `release` is to give back."""
        size = min(size, self._budget)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, host, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(size, host)  # given in the same moment in which the row gave up
            else:
                self._waiting.remove((size, host, turn))
                self._admit()
            raise
        return size

    def release(self, size: int, host: str) -> None:
        """Give reserved bytes back."""
        self._free += size
        self._held[host] -= size
        if not self._held[host]:
            del self._held[host]
        self._admit()

    def _admit(self) -> None:
        left: deque[tuple[int, str, asyncio.Future[None]]] = deque()
        while self._waiting:
            size, host, turn = self._waiting[0]
            if not self._is_within_share(size, host):
                left.append(self._waiting.popleft())
                continue
            if size > self._free:
                break
            self._waiting.popleft()
            self._free -= size
            self._held[host] += size
            turn.set_result(None)
        self._waiting.extendleft(reversed(left))

    def _is_within_share(self, size: int, host: str) -> bool:
        # A body that is larger than the share is read alone.
        return not self._held[host] or self._held[host] + size <= self._budget // 2

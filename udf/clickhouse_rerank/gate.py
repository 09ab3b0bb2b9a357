"""How hard one endpoint is asked, with one credential: requests in flight, retries in total, and whether to ask at all.

Three rules, each on what the endpoint itself answered: requests in flight halve when it says "too many" and grow back
with success; retries are paid from a budget that only success refills; while it accepts less than half of what it is
asked, the surplus is refused here instead of being sent there, but for one request a second that looks whether it is
back; the others of its time wait for what that one finds.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable

from .errors import ProviderFailedError

_GROWTH = 1 / 4  # a success widens the gate by this much: a stray refusal in a hundred leaves it at about 50 of 64
_BUDGET = 100.0
_RETRY_COST = 5.0
_WINDOW_S = 30.0
_MANY = 50
_NEARLY_ALL = 0.9
_PROBE_EVERY_S = 1.0


class Gate:
    """FIFO admission to an endpoint; `async with gate:` holds one place."""

    def __init__(
        self,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._most = float(most)
        self._limit = float(most)
        self._clock = clock
        self._chance = chance
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._halved_at = -1.0
        self._budget = _BUDGET
        self._seconds: deque[list[int]] = deque()
        """[second of the clock, asked in it, accepted in it], the last 30."""
        self._probed_at = -_PROBE_EVERY_S
        self._probing = False
        self._onlookers: list[asyncio.Future[bool]] = []
        self.last_failure: ProviderFailedError | None = None

    @property
    def idle(self) -> bool:
        """Nobody is inside or waits."""
        return not (self._in_flight or self._waiting)

    @property
    def limit(self) -> int:
        """Requests in flight that are let in at present."""
        return int(self._limit)

    async def __aenter__(self) -> None:
        if self._in_flight < self.limit and not self._waiting:
            self._in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            # Cancelled in the moment of its turn: the place was given already and goes to the next.
            if not turn.cancelled():
                self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self._in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._in_flight < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)

    def admits(self) -> bool:
        """Whether to send at all: False for the surplus that a failing endpoint would refuse anyway.

        The surplus is that of adaptive throttling, (asked - 2 x accepted) / (asked + 1) over the last 30 s; one request
        a second goes through in any case, to see whether the endpoint is back.
        """
        self._forget()
        asked = sum(second[1] for second in self._seconds)
        surplus = (asked - 2 * sum(second[2] for second in self._seconds)) / (asked + 1)
        if surplus <= 0 or self._chance() >= surplus:
            return True
        now = self._clock()
        if now - self._probed_at >= _PROBE_EVERY_S:
            self._probed_at = now
            self._probing = True
            return True
        return False

    async def admitted(self) -> bool:
        """`admits`, after what a look under way finds: to refuse the other rows would fail the query that looks."""
        while not self.admits():
            if not self._probing:
                return False
            onlooker = asyncio.get_running_loop().create_future()
            self._onlookers.append(onlooker)
            if not await onlooker:
                return False
        return True

    def is_healthy(self) -> bool:
        """Whether the endpoint answered nearly all of a good number of requests lately."""
        self._forget()
        asked = sum(second[1] for second in self._seconds)
        return asked >= _MANY and sum(second[2] for second in self._seconds) >= _NEARLY_ALL * asked

    def pay_for_retry(self) -> bool:
        """Take the cost of one retry from the budget; False when it is spent."""
        if self._budget < _RETRY_COST:
            return False
        self._budget -= _RETRY_COST
        return True

    def accepted(self) -> None:
        """The endpoint answered the request; if that was the look whether it is back, what was is forgotten."""
        if self._probing:
            self._seconds.clear()
            self._looked(back=True)
        self._record(1)
        self._budget = min(_BUDGET, self._budget + 1)
        self._limit = min(self._most, self._limit + _GROWTH)
        self._admit()

    def failed(self, how: ProviderFailedError | None = None) -> None:
        """The endpoint, or the way to it, failed."""
        self.last_failure = how or self.last_failure
        self._looked(back=False)
        self._record(0)

    def withdrawn(self) -> None:
        """The request was cancelled before it told anything; the next one may look at once."""
        if self._probing:
            self._probed_at = self._clock() - _PROBE_EVERY_S
        self._looked(back=False)

    def crowded(self, asked_at: float) -> None:
        """The endpoint said "too many requests" to one that was sent at `asked_at` of the clock.

        Those that were already under way when the gate was last halved do not halve it again.
        """
        self._looked(back=False)
        if asked_at > self._halved_at:
            self._halved_at = self._clock()
            self._limit = max(1.0, self._limit / 2)

    def _looked(self, *, back: bool) -> None:
        self._probing = False
        for onlooker in self._onlookers:
            if not onlooker.done():
                onlooker.set_result(back)
        self._onlookers.clear()

    def _record(self, accepted: int) -> None:
        self._forget()
        now = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != now:
            self._seconds.append([now, 0, 0])
        self._seconds[-1][1] += 1
        self._seconds[-1][2] += accepted

    def _forget(self) -> None:
        since = self._clock() - _WINDOW_S
        while self._seconds and self._seconds[0][0] < since:
            self._seconds.popleft()

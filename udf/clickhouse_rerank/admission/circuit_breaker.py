"""Whether to ask an endpoint at all: adaptive throttling, with one probe a second.

The surplus is (asked - 2 x accepted) / (asked + 1) over the last 30 s. It is the share of requests that the endpoint
would probably refuse, and so the probability that a request is withheld.

state       event                          next        what happens
CLOSED      request                        CLOSED      is sent
            asked > 2 x accepted           THROTTLING  -
THROTTLING  request, not of the surplus    THROTTLING  is sent
            request of the surplus, and
              no probe in the last second  PROBING     is sent as the probe
              else                         THROTTLING  is withheld
            asked <= 2 x accepted          CLOSED      -
PROBING     request of the surplus, and
              no probe in the last second  PROBING     is sent as one more probe
              else                         PROBING     waits for the outcome: to withhold it would fail the query
            answered                       CLOSED      the counts are cleared; the waiting requests are asked again
            failed, rate limited           THROTTLING  the waiting requests are withheld
            withdrawn                      THROTTLING  the same, and the next request may probe at once

Any request that is in flight may end PROBING, for its outcome is the endpoint's latest.
"""

import asyncio
import random
import time
from collections.abc import Callable

from .sliding_counter import SlidingCounter

_PROBE_EVERY_S = 1.0
_HEALTHY_MIN = 50
_HEALTHY_SHARE = 0.9


class CircuitBreaker:
    """Withholds requests from an endpoint that fails. `chance` draws a number between 0 and 1."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._counter = SlidingCounter(clock)
        self._is_probing = False
        self._probed_at = -_PROBE_EVERY_S
        self._waiting: list[asyncio.Future[bool]] = []

    def allows(self) -> bool:
        """Whether to send a request now."""
        asked, accepted = self._counter.lately()
        surplus = (asked - 2 * accepted) / (asked + 1)
        if surplus <= 0 or self._chance() >= surplus:
            return True
        now = self._clock()
        if now - self._probed_at >= _PROBE_EVERY_S:
            self._probed_at = now
            self._is_probing = True
            return True
        return False

    async def allows_after_probe(self) -> bool:
        """Whether to send a request that `allows` withheld, by the outcome of the probe that is under way."""
        while self._is_probing:
            outcome = asyncio.get_running_loop().create_future()
            self._waiting.append(outcome)
            if not await outcome:
                return False
            if self.allows():
                return True
        return False

    def is_healthy(self) -> bool:
        """Whether the endpoint accepted nine tenths of at least 50 requests of the last 30 s."""
        asked, accepted = self._counter.lately()
        return asked >= _HEALTHY_MIN and accepted >= _HEALTHY_SHARE * asked

    def answered(self) -> None:
        """A request was answered or rejected: the endpoint works."""
        if self._is_probing:
            self._counter.clear()
            self._end_probe(is_back=True)
        self._counter.add(accepted=1)

    def failed(self) -> None:
        """A request failed."""
        self._end_probe(is_back=False)
        self._counter.add(accepted=0)

    def rate_limited(self) -> None:
        """A request got a 429, which is a matter of concurrency."""
        self._end_probe(is_back=False)

    def withdrawn(self) -> None:
        """A request was not sent after all, or was cancelled before it told anything."""
        if self._is_probing:
            self._probed_at = self._clock() - _PROBE_EVERY_S
        self._end_probe(is_back=False)

    def _end_probe(self, *, is_back: bool) -> None:
        self._is_probing = False
        for outcome in self._waiting:
            if not outcome.done():
                outcome.set_result(is_back)
        self._waiting.clear()

"""How hard one endpoint is asked, with one credential: requests in flight, retries in total, and whether to ask at all.

Three rules, each on what the endpoint itself answered: requests in flight halve when it says "too many" and grow back
with success; retries are paid from a budget that only success refills; while it accepts less than half of what it is
asked, the surplus is refused here instead of being sent there, but for one request a second that looks whether it is
back; the others of its time wait for what that one finds.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from ..errors import ProviderFailedError
from .process_count import ProcessCount
from .sliding_counter import SlidingCounter

_GROWTH = 1 / 2  # a success widens the gate by this much: a stray refusal in a hundred is made good before the next
_BUDGET = 100.0
_RETRY_COST = 5.0
_MANY = 50
_NEARLY_ALL = 0.9
_FLOWING_S = 150.0
_FIRST_GUESS_S = 0.025
_LONGEST_GUESS_S = 1.0
_LONGEST_PAUSE_S = 60.0
_HOPELESS = 6
_PROBE_EVERY_S = 1.0


class Gate:
    """Admission to an endpoint in the order of tickets; `async with gate.place(gate.ticket()):` holds one place."""

    def __init__(
        self,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        process_count: ProcessCount | None = None,
        patience_s: float = math.inf,
    ) -> None:
        self.patience_s = patience_s
        self._tickets = count()
        self._rejecting: ProviderFailedError | None = None
        self._process_count = process_count or ProcessCount(-1)
        self._is_counted = False
        self._most = float(most)
        self._limit = float(most)
        self._clock = clock
        self._chance = chance
        self._in_flight = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        """A heap."""
        self._crowded_at = -math.inf
        self._budget = _BUDGET
        self._sliding_counter = SlidingCounter(clock)
        self._probed_at = -_PROBE_EVERY_S
        self._probing = False
        self._paused_until = -1.0
        self._refusals = 0
        self._flowed_at = -_FLOWING_S
        self._onlookers: list[asyncio.Future[bool]] = []
        self.last_failure: ProviderFailedError | None = None

    @property
    def idle(self) -> bool:
        """Nobody is inside or waits."""
        return not (self._in_flight or self._waiting)

    @property
    def limit(self) -> int:
        """Requests in flight that are let in at present: what the endpoint bears, and this process's share of all."""
        if self._refusals > 1:
            return 1  # until one is answered, the others would only be refused again
        return max(1, min(int(self._limit), int(self._most) // self._process_count.count()))

    def ticket(self) -> int:
        """A turn in line; who was turned away keeps it, for what is written waits for the oldest."""
        return next(self._tickets)

    def place(self, ticket: int) -> "_Place":
        """Hold one place. Errors: RATE_LIMIT while the endpoint wants to be left alone for longer than one may wait."""
        return _Place(self, ticket)

    async def _enter(self, ticket: int) -> None:
        if self._rejecting is not None:
            raise _copy(self._rejecting)
        if not self._is_counted:
            self._is_counted = True
            self._process_count.arrive()
        if self._in_flight < self.limit and not self._waiting and self._clock() >= self._paused_until:
            self._in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (ticket, turn))
        try:
            await turn
        except asyncio.CancelledError:
            # Cancelled in the moment of its turn: the place was given already and goes to the next.
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave()
            raise

    def _leave(self) -> None:
        self._in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        """Let in whom there is room for; with nobody left, who may all have given up in a pause, ask no more."""
        while self._waiting and self._in_flight < self.limit and self._clock() >= self._paused_until:
            _, turn = heappop(self._waiting)
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)
        if self.idle and self._is_counted:
            self._is_counted = False
            self._process_count.depart()

    def admits(self) -> bool:
        """Whether to send at all: False for the surplus that a failing endpoint would refuse anyway.

        The surplus is that of adaptive throttling, (asked - 2 x accepted) / (asked + 1) over the last 30 s; one request
        a second goes through in any case, to see whether the endpoint is back.
        """
        asked, accepted = self._sliding_counter.lately()
        surplus = (asked - 2 * accepted) / (asked + 1)
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
        asked, accepted = self._sliding_counter.lately()
        return asked >= _MANY and accepted >= _NEARLY_ALL * asked

    def pay_for_retry(self) -> bool:
        """Take the cost of one retry from the budget; False when it is spent."""
        if self._budget < _RETRY_COST:
            return False
        self._budget -= _RETRY_COST
        return True

    def accepted(self) -> None:
        """The endpoint answered the request; if that was the look whether it is back, what was is forgotten."""
        if self._probing:
            self._sliding_counter.clear()
            self._looked(back=True)
        self._sliding_counter.add(accepted=1)
        self._refusals = 0
        self._flowed_at = self._clock()
        self._budget = min(_BUDGET, self._budget + 1)
        self._limit = min(self._most, self._limit + _GROWTH)
        self._admit()

    def failed(self, how: ProviderFailedError | None = None) -> None:
        """The endpoint, or the way to it, failed."""
        self.last_failure = how or self.last_failure
        self._refusals = 0
        self._looked(back=False)
        self._sliding_counter.add(accepted=0)

    def withdrawn(self) -> None:
        """The request was cancelled before it told anything; the next one may look at once."""
        if self._probing:
            self._probed_at = self._clock() - _PROBE_EVERY_S
        self._looked(back=False)

    def crowded(self, asked_at: float, wait_s: float | None = None, error: ProviderFailedError | None = None) -> None:
        """The endpoint said "too many requests", and perhaps for how long, to one sent at `asked_at` of the clock.

        The gate is halved, by the first of those that were under way together, and once until one is accepted. Nobody
        is let in until the wait is over; where the endpoint names none, that is 25 ms, doubled up to a second. If that
        is longer than anyone may wait, or nobody was accepted for long, those in line get the error at once.
        """
        self._looked(back=False)
        now = self._clock()
        if asked_at > self._crowded_at:
            if self._flowed_at >= self._crowded_at:  # else nothing says that fewer at a time would do
                self._limit = max(1.0, self._limit / 2)
            self._crowded_at = now
            self._refusals += 1
        if wait_s is None:
            wait_s = min(_LONGEST_GUESS_S, _FIRST_GUESS_S * 2.0 ** (self._refusals - 1))
        until = now + min(wait_s, _LONGEST_PAUSE_S)
        if until > self._paused_until:
            self._paused_until = until
            asyncio.get_running_loop().call_later(until - now, self._resume, until)
        hopeless = self._refusals >= _HOPELESS and now - self._flowed_at >= _FLOWING_S
        if error is not None and (wait_s > self.patience_s or hopeless):
            self._reject(error)

    def _reject(self, error: ProviderFailedError) -> None:
        """Until the pause is over, fail those in line and those who come; then one looks again."""
        self._rejecting = error
        waiting, self._waiting = self._waiting, []
        for _, turn in waiting:
            if not turn.done():
                turn.set_exception(_copy(error))

    def _resume(self, until: float) -> None:
        """The pause that lasts until then is over; timers may be early by a tick, so that the clock is not asked."""
        if self._paused_until == until:
            self._paused_until = -1.0
            self._rejecting = None
            self._admit()

    def is_flowing(self) -> bool:
        """Whether "too many requests" means "later": the endpoint answered one not long ago, or others may yet be."""
        return self._in_flight > 1 or self._clock() - self._flowed_at < _FLOWING_S

    def _looked(self, *, back: bool) -> None:
        self._probing = False
        for onlooker in self._onlookers:
            if not onlooker.done():
                onlooker.set_result(back)
        self._onlookers.clear()


class _Place:
    """One visit to a gate."""

    __slots__ = ("_gate", "_ticket")

    def __init__(self, gate: Gate, ticket: int) -> None:
        self._gate = gate
        self._ticket = ticket

    async def __aenter__(self) -> None:
        await self._gate._enter(self._ticket)

    async def __aexit__(self, *_: object) -> None:
        self._gate._leave()


def _copy(error: ProviderFailedError) -> ProviderFailedError:
    """The same error for another row: one that is raised again keeps the frames, and so the texts, of all rows."""
    return ProviderFailedError(error.code, error.message, retryable=error.retryable, wait_s=error.wait_s)

"""Admission to one endpoint with one key: what the client asks before it sends, and where it reports each outcome.

A composition: `TicketQueue` says which request is next, `AdaptiveConcurrency` how many are in flight, `CircuitBreaker`
whether the endpoint is asked at all, `RetryBudget` how many retries there are, `HedgeBudget` how many hedges. Each has
its states at the top of its module; `Outcome` says what each outcome is to them.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable
from types import TracebackType

from ..config.settings import Limits
from ..errors import ProviderFailedError, RerankError
from . import retry
from .circuit_breaker import CircuitBreaker
from .concurrency import AdaptiveConcurrency
from .hedge import HedgeBudget
from .outcome import Outcome
from .process_count import ProcessCount, ProcessCounts
from .retry_budget import RetryBudget
from .ticket_queue import TicketQueue

_MAX_ENDPOINTS = 1000


class EndpointAdmission:
    """`async with admission.place(admission.ticket()):` holds one place among the requests in flight.

    `max_in_flight` is for all processes that ask the host, `patience_s` the longest wait of a row in line.
    """

    def __init__(
        self,
        max_in_flight: int,
        process_count: ProcessCount,
        patience_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._patience_s = patience_s
        self._process_count = process_count
        self._is_counted = False
        self._concurrency = AdaptiveConcurrency(max_in_flight, process_count, clock)
        self._queue = TicketQueue(self._concurrency.has_room)
        self._breaker = CircuitBreaker(clock, chance)
        self._budget = RetryBudget()
        self.ticket = self._queue.ticket
        self.allows = self._breaker.allows
        self.allows_after_probe = self._breaker.allows_after_probe
        self.take_retry = self._budget.take
        self.hedges = HedgeBudget(self._budget)
        self._last_failure: ProviderFailedError | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight and nothing waits."""
        return self._queue.is_idle

    def place(self, ticket: int) -> "_Place":
        """Hold one place, in the ticket's turn. Errors: RATE_LIMIT while the endpoint's wait is longer than a row's."""
        return _Place(self, ticket)

    def allowed_attempts(self) -> int:
        """How many attempts one call has."""
        return retry.ATTEMPTS_OF_HEALTHY if self._breaker.is_healthy() else retry.ATTEMPTS

    def expects_answers(self) -> bool:
        """Whether a 429 means "later": the endpoint answered a request not long ago, or others may yet be answered."""
        return self._queue.in_flight > 1 or self._concurrency.has_answered_lately()

    def withheld(self, name: str) -> ProviderFailedError:
        """The error of a request that is not sent to the provider `name`, with the last failure as the reason."""
        last = self._last_failure or ProviderFailedError("PROVIDER", f"{name} fails.")
        return ProviderFailedError(last.code, f"{last.message} Most requests failed of late, so this one was not sent.")

    def report(self, outcome: Outcome, sent_at: float = 0.0, error: RerankError | None = None) -> None:
        """Learn from one attempt, which was sent at `sent_at` of the clock; once for each."""
        if outcome is Outcome.ANSWERED or outcome is Outcome.REJECTED:
            self._breaker.answered()
            self._concurrency.answered()
            self._budget.answered()
            self._queue.admit()
        elif outcome is Outcome.FAILED:
            self._breaker.failed()
            self._concurrency.failed()
            if isinstance(error, ProviderFailedError):
                self._last_failure = error.copy()
        elif outcome is Outcome.RATE_LIMITED:
            self._breaker.rate_limited()
            self._wait_after(sent_at, error)
        else:
            self._breaker.withdrawn()

    def _wait_after(self, sent_at: float, error: RerankError | None) -> None:
        """Pause after a 429; fail all rows in line if the wait is too long for a row, or no answer came for long."""
        stated = error if isinstance(error, ProviderFailedError) else None
        wait_s = self._concurrency.rate_limited(sent_at, stated.wait_s if stated else None)
        pause = self._concurrency.pause(wait_s)
        if pause is not None:
            seconds, end = pause
            asyncio.get_running_loop().call_later(seconds, self._resume, end)
        if stated is not None and (wait_s > self._patience_s or self._concurrency.is_hopeless()):
            self._queue.close(retry.with_wait(stated, self._patience_s))

    def _resume(self, end: float) -> None:
        if self._concurrency.resume(end):
            self._queue.reopen()
            self._queue.admit()
            self._depart_if_idle()

    def _enter(self) -> bool:
        if not self._is_counted and not self._queue.is_closed:
            self._is_counted = True
            self._process_count.arrive()
        return self._queue.enter()

    async def _wait(self, ticket: int) -> None:
        try:
            await self._queue.wait(ticket)
        except BaseException:
            self._depart_if_idle()
            raise

    def _leave(self) -> None:
        self._queue.leave()
        self._depart_if_idle()

    def _depart_if_idle(self) -> None:
        if self._is_counted and self._queue.is_idle:
            self._is_counted = False
            self._process_count.depart()


class _Place:
    """One request's place among those in flight."""

    __slots__ = ("_admission", "_ticket")

    def __init__(self, admission: EndpointAdmission, ticket: int) -> None:
        self._admission = admission
        self._ticket = ticket

    async def __aenter__(self) -> None:
        if not self._admission._enter():
            await self._admission._wait(self._ticket)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission._leave()


class EndpointAdmissions:
    """The admission of each endpoint and key that a worker asks."""

    def __init__(self, limits: Limits, process_counts: ProcessCounts) -> None:
        self._limits = limits
        self._process_counts = process_counts
        self._known: dict[tuple[str, str], EndpointAdmission] = {}

    def of(self, url: str, key: str, host: str) -> EndpointAdmission:
        """The admission to a URL with a key; the processes that ask `host` share the limit."""
        found = self._known.get((url, key))
        if found is None:
            if len(self._known) >= _MAX_ENDPOINTS:
                # Many keys or URLs in one query: what was learned of the idle ones is given up.
                self._known = {name: known for name, known in self._known.items() if not known.is_idle}
            found = self._known[url, key] = EndpointAdmission(
                self._limits.max_in_flight,
                self._process_counts.of(host),
                self._limits.rate_limit_wait_s,
            )
        return found

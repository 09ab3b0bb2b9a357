"""Hedged requests: a request that is not answered after a while is sent a second time, and the first answer counts.

balance      event      next
20 and more  take       20 less, and one retry is paid from the retry budget: the hedge is sent
             no retry   the same: no hedge
below 20     take       the same: no hedge
any          answered   1 more, up to 400; once for a request, however often it was sent

The balance begins at 0, so hedges are never more than one in twenty answered requests.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol, TypeVar

from .outcome import Outcome
from .retry_budget import RetryBudget

_PER_HEDGE = 20
_FULL = 20 * _PER_HEDGE


class HedgeBudget:
    """How many hedges one endpoint may get. They are paid from the retry budget too: an outage gets no more of both."""

    def __init__(self, retries: RetryBudget) -> None:
        self._retries = retries
        self._balance = 0

    def take(self) -> bool:
        """Pay for one hedge; False where one of the two budgets does not suffice."""
        if self._balance < _PER_HEDGE or not self._retries.take():
            return False
        self._balance -= _PER_HEDGE
        return True

    def answered(self) -> None:
        """A request that might have been hedged was answered."""
        self._balance = min(_FULL, self._balance + 1)


class _Sending(Protocol):
    """What becomes of a request that goes out."""

    outcome: Outcome
    sent_at: float
    """0 until it leaves."""


Sending = TypeVar("Sending", bound=_Sending)
Send = Callable[[Sending], Coroutine[None, None, None]]


async def hedged(first: Sending, send: Send[Sending], second: Sending, hedge: Send[Sending], after_s: float) -> Sending:
    """The sending that counts: the one that is answered, or else the first.

    `send(first)` begins at once, `hedge(second)` after `after_s` without an outcome. If one fails, the other is waited
    for, unless the hedge has not left yet. Both have ended when this returns or is cancelled.
    """
    tasks = [asyncio.create_task(send(first))]
    try:
        await asyncio.wait(tasks, timeout=after_s)
        if not tasks[0].done():
            tasks.append(asyncio.create_task(hedge(second)))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            is_answered = Outcome.ANSWERED in (first.outcome, second.outcome)
            if not is_answered and (second.sent_at or not tasks[0].done()):
                await asyncio.wait(tasks)
    finally:
        rest = [task for task in tasks if not task.done()]
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)
    for task in tasks:
        if not task.cancelled():
            task.result()
    return second if second.outcome is Outcome.ANSWERED and first.outcome is not Outcome.ANSWERED else first

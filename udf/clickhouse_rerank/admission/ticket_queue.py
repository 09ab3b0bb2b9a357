"""Which request is next. The oldest ticket goes first, because answers are written in the order of rows.

state   event            next    what happens
OPEN    enter, room      OPEN    a place is taken, unless others wait
        enter, no room   OPEN    the ticket waits
        leave, admit     OPEN    while there is room, the oldest ticket that waits gets a place
        cancelled        OPEN    the ticket waits no more; a place that it just got goes to the next
        close            CLOSED  each waiting ticket gets the error
CLOSED  enter            CLOSED  gets the error
        leave            CLOSED  -
        reopen           OPEN    -
"""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from ..errors import ProviderFailedError


class TicketQueue:
    """Places for requests in flight; `has_room` says, of a number in flight, whether one more may be."""

    def __init__(self, has_room: Callable[[int], bool]) -> None:
        self._has_room = has_room
        self._tickets = count()
        self._arrivals = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        """A heap. One ticket may be in it twice: a hedge that was cancelled stays until its turn."""
        self._error: ProviderFailedError | None = None
        self.in_flight = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight and nothing waits."""
        return not (self.in_flight or self._waiting)

    @property
    def is_closed(self) -> bool:
        """Whether each that comes gets an error."""
        return self._error is not None

    def ticket(self) -> int:
        """A turn in line. A request that has to come back keeps its ticket, and so its turn."""
        return next(self._tickets)

    def enter(self) -> bool:
        """Take a place if one is free and nobody waits for it. Errors: the one that the queue was closed with."""
        if self._error is not None:
            raise self._error.copy()
        if self._waiting or not self._has_room(self.in_flight):
            return False
        self.in_flight += 1
        return True

    async def wait(self, ticket: int) -> None:
        """Take a place when it is the ticket's turn. Errors: the one that the queue is closed with."""
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (ticket, next(self._arrivals), turn))
        try:
            await turn
        except asyncio.CancelledError:
            # Cancelled in the moment of its turn: it has the place already. An error in its stead gave it none.
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back."""
        self.in_flight -= 1
        self.admit()

    def admit(self) -> None:
        """Give places to those that wait, as far as there is room."""
        while self._waiting and self._has_room(self.in_flight):
            *_, turn = heappop(self._waiting)
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    def close(self, error: ProviderFailedError) -> None:
        """Fail each that waits, and each that comes until `reopen`."""
        self._error = error
        waiting, self._waiting = self._waiting, []
        for *_, turn in waiting:
            if not turn.done():
                turn.set_exception(error.copy())

    def reopen(self) -> None:
        """Let requests enter again."""
        self._error = None

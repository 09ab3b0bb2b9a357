"""Documents of many rows in one request, where the model scores each document for itself.

Calls with the same endpoint and query join a group, and a group becomes one request:

when                                                                         the group
its documents or their text reach what one request may hold                  leaves, and the next call opens another
`release`: no more rows come                                                 leaves
`settle` in a stall: no more rows come before answers, and none is on its
way to a call like those of the group                                        leaves
no call has joined for much longer than usual (`Group.is_left_behind`)       leaves
a call joins while no rows are expected                                      leaves at the end of the loop's turn

If as many requests are in flight as may be, a group that leaves waits for a place, and calls may still join it.

So nothing waits for a clock: a call waits only while the input brings further rows or no request may be sent, and a
lone row not at all. A call that is alone in its group is asked as if there were no groups.
"""

import asyncio
from collections import Counter

from ..admission.deadline import Deadline
from ..request.endpoint import Endpoint
from ..types import Call, CallScores, RequestNeed
from ..usage.recorder import UsageLine
from .request_group import Ask, Group, Key, OpenLine, Waiter

_MOST_DOCUMENTS = 1000
_UNKNOWN_LIMIT = 100
"""Documents of a shared request to an endpoint whose limit is not known: a common length of a list."""


class SharedRequests:
    """Joins calls into requests, of which at most `most_in_flight` are in flight.

    `ask` gives the scores of a call; `open_line` a usage line for a request.
    """

    def __init__(self, ask: Ask, open_line: OpenLine, most_in_flight: int) -> None:
        self._ask = ask
        self._open_line = open_line
        self._places = most_in_flight
        self._open: dict[Key, Group] = {}
        """The group that a call with this key joins."""
        self._hoping: dict[Group, None] = {}
        """Groups that wait for calls; the last is that which the last call joined."""
        self._due: dict[Group, None] = {}
        """Groups that wait for a place, the oldest first."""
        self._most: dict[str, int] = {}
        """URL -> documents that its server was found to take, where that is less than its provider's limit."""
        self._read = 0
        self._is_expecting = False
        self._is_stalled = False
        self._in_flight: Counter[Key] = Counter()
        """Calls that have left and have no scores yet."""

    def expect(self) -> None:
        """More rows come: calls wait for company."""
        self._is_expecting, self._is_stalled = True, False

    def stall(self) -> None:
        """No more rows come until some are answered."""
        self._is_stalled = True

    def pause(self) -> None:
        """No row has come for a while."""
        self.stall()
        self.settle()

    def settle(self) -> None:
        """All rows that have their scores are answered: if no more come yet, groups leave.

        A group stays while calls like its own are in flight, for their answers may bring more.
        """
        if self._is_stalled:
            for group in [group for group in self._hoping if not self._in_flight[group.key]]:
                self._leave(group)

    def read(self, size: int) -> None:
        """A row of so many bytes was read, and joins next: groups that earlier rows left behind leave."""
        left_behind: list[Group] = []
        for group in self._hoping:
            if not group.is_old(self._read):
                break
            if group.is_left_behind(self._read):
                left_behind.append(group)
        for group in left_behind:
            self._leave(group)
        self._read += size

    def release(self) -> None:
        """No more rows come: all groups leave."""
        self._is_expecting = False
        for group in [*self._hoping]:
            self._leave(group)

    def need(self, call: Call, endpoint: Endpoint) -> RequestNeed:
        """What a call takes of the requests that it shares."""
        return RequestNeed(_key(call, endpoint), len(call.documents), self._most_documents(endpoint))

    async def scores(self, call: Call, endpoint: Endpoint, deadline: Deadline, line: UsageLine) -> CallScores:
        """The scores of a call, whose documents may share a request with those of other calls. Errors: RerankError."""
        waiter = Waiter(call, deadline, line, asyncio.get_running_loop().create_future())
        group = self._join(waiter, endpoint)
        try:
            scores = await waiter.result
            return await self._ask(call, endpoint, deadline, line) if scores is None else scores
        except asyncio.CancelledError:
            if group.task is not None and group.is_unwanted():
                group.task.cancel()
                await asyncio.wait([group.task])
            raise
        finally:
            if waiter.has_left:
                self._land(group)
            del waiter, group  # an error would hold this frame, which holds the error: a circle that keeps all texts

    def _join(self, waiter: Waiter, endpoint: Endpoint) -> Group:
        key = _key(waiter.call, endpoint)
        most = self._most_documents(endpoint)
        if len(waiter.call.documents) >= most:
            alone = Group(key, endpoint, self._ask, self._open_line, most, self._read, self._read)
            alone.join(waiter, self._read)
            self._leave(alone)
            return alone
        group = self._open.get(key)
        if group is not None and not group.takes(waiter.call):
            del self._open[key]
            self._leave(group)
            group = None
        if group is None:
            group = self._open[key] = Group(key, endpoint, self._ask, self._open_line, most, self._read, self._read)
        group.join(waiter, self._read)
        if group not in self._due:
            self._hoping.pop(group, None)
            self._hoping[group] = None
        if group.is_full():
            del self._open[key]
            self._leave(group)
        elif not self._is_expecting or self._is_stalled:
            # A row that joins late, because its documents were cut on a thread or another endpoint failed: no row that
            # comes would let its group leave.
            asyncio.get_running_loop().call_soon(self._leave_late, group)
        return group

    def _leave_late(self, group: Group) -> None:
        if group in self._hoping:
            self._leave(group)

    def _leave(self, group: Group) -> None:
        self._hoping.pop(group, None)
        if self._places:
            self._send(group)
        else:
            self._due[group] = None

    def _send(self, group: Group) -> None:
        self._due.pop(group, None)
        if self._open.get(group.key) is group:
            del self._open[group.key]
        waiting = [waiter for waiter in group.waiters if not waiter.result.done()]
        if not waiting:
            return
        self._places -= 1
        self._in_flight[group.key] += len(waiting)
        group.in_flight = len(waiting)
        for waiter in waiting:
            waiter.has_left = True
        if len(waiting) == 1:
            waiting[0].result.set_result(None)
        else:
            group.task = asyncio.create_task(self._serve(group))
            group.task.add_done_callback(group.end)

    def _land(self, group: Group) -> None:
        """A call of the group has its scores or its error; with the last of them, the request's place is free."""
        self._in_flight[group.key] -= 1
        if not self._in_flight[group.key]:
            del self._in_flight[group.key]
        group.in_flight -= 1
        if group.in_flight:
            return
        self._places += 1
        while self._due and self._places:
            self._send(next(iter(self._due)))

    async def _serve(self, group: Group) -> None:
        await group.serve()
        if group.taken:
            url = group.endpoint.url
            self._most[url] = min(group.taken, self._most.get(url, group.taken))

    def _most_documents(self, endpoint: Endpoint) -> int:
        stated = endpoint.options.batch_size or min(endpoint.limits.documents or _UNKNOWN_LIMIT, _MOST_DOCUMENTS)
        return min(stated, self._most.get(endpoint.url, stated))


def _key(call: Call, endpoint: Endpoint) -> Key:
    """Calls with an equal key may share requests."""
    return id(endpoint), call.query

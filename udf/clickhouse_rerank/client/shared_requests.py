"""Documents of many rows in one request, where the model scores each document for itself.

Calls with the same endpoint and query join a group, and a group becomes one request:

when                                                                     the group
its documents or bytes reach what one request may hold                   leaves, and the next call opens another
`stall`: no more rows come before answers, and none is on its way to it  leaves
`release`: no more rows come for now                                     leaves
no call has joined for much longer than usual (`_is_left_behind`)        leaves
a call joins while no rows are expected                                  leaves at the end of the loop's turn

So nothing waits for a clock: a call waits only while the input brings further rows, and a lone row not at all. A call
that is alone in its group is asked as if there were no groups.
"""

import asyncio
from collections import Counter

from ..admission.deadline import Deadline
from ..request.endpoint import Endpoint
from ..types import Call, CallScores, RequestNeed
from ..usage.recorder import UsageLine
from .request_group import Ask, Group, OpenLine, Waiter

_Key = tuple[int, str]

_MOST_DOCUMENTS = 1000
_UNKNOWN_LIMIT = 100
"""Documents of a shared request to an endpoint whose limit is not known: a common length of a list."""


class SharedRequests:
    """Joins calls into requests. `ask` gives the scores of a call; `open_line` a usage line for a request."""

    def __init__(self, ask: Ask, open_line: OpenLine) -> None:
        self._ask = ask
        self._open_line = open_line
        self._groups: dict[_Key, Group] = {}
        self._most: dict[str, int] = {}
        """URL -> documents that its server was found to take, where that is less than its provider's limit."""
        self._read = 0
        self._is_expecting = False
        self._is_stalled = False
        self._in_flight: Counter[_Key] = Counter()
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
            for key in [key for key in self._groups if not self._in_flight[key]]:
                self._leave(key)

    def read(self, size: int) -> None:
        """A row of so many bytes was read, and joins next: groups that earlier rows left behind leave."""
        for key in [key for key, group in self._groups.items() if group.is_left_behind(self._read)]:
            self._leave(key)
        self._read += size

    def release(self) -> None:
        """No more rows come for now: all groups leave."""
        self._is_expecting = False
        for key in [*self._groups]:
            self._leave(key)

    def need(self, call: Call, endpoint: Endpoint) -> RequestNeed:
        """What a call takes of the requests that it shares."""
        return RequestNeed(_key(call, endpoint), len(call.documents), self._most_documents(endpoint))

    async def scores(self, call: Call, endpoint: Endpoint, deadline: Deadline, line: UsageLine) -> CallScores:
        """The scores of a call, whose documents may share a request with those of other calls. Errors: RerankError."""
        most = self._most_documents(endpoint)
        waiter = Waiter(call, deadline, line, asyncio.get_running_loop().create_future())
        if len(call.documents) >= most:
            return await self._alone(waiter, endpoint)
        group = self._join(waiter, endpoint, most)
        try:
            scores = await waiter.result
        except asyncio.CancelledError:
            if group.task is not None and group.is_unwanted():
                group.task.cancel()
                await asyncio.wait([group.task])
            raise
        finally:
            if waiter.has_left:
                self._land(_key(call, endpoint))
        return await self._alone(waiter, endpoint) if scores is None else scores

    async def _alone(self, waiter: Waiter, endpoint: Endpoint) -> CallScores:
        key = _key(waiter.call, endpoint)
        self._in_flight[key] += 1
        try:
            return await self._ask(waiter.call, endpoint, waiter.deadline, waiter.line)
        finally:
            self._land(key)

    def _land(self, key: _Key) -> None:
        self._in_flight[key] -= 1
        if not self._in_flight[key]:
            del self._in_flight[key]

    def _join(self, waiter: Waiter, endpoint: Endpoint, most: int) -> Group:
        key = _key(waiter.call, endpoint)
        group = self._groups.get(key)
        if group is not None and not group.takes(waiter.call):
            self._leave(key)
            group = None
        if group is None:
            group = self._groups[key] = Group(endpoint, most, self._read, self._read)
            if not self._is_expecting:
                asyncio.get_running_loop().call_soon(self._leave_late, key, group)
        group.join(waiter, self._read)
        if group.is_full():
            self._leave(key)
        return group

    def _leave_late(self, key: _Key, group: Group) -> None:
        if self._groups.get(key) is group:
            self._leave(key)

    def _leave(self, key: _Key) -> None:
        group = self._groups.pop(key)
        waiting = [waiter for waiter in group.waiters if not waiter.result.done()]
        self._in_flight[key] += len(waiting)
        for waiter in waiting:
            waiter.has_left = True
        if len(waiting) == 1:
            waiting[0].result.set_result(None)
        elif waiting:
            group.task = asyncio.create_task(self._serve(group))

    async def _serve(self, group: Group) -> None:
        await group.serve(self._ask, self._open_line)
        if group.taken:
            url = group.endpoint.url
            self._most[url] = min(group.taken, self._most.get(url, group.taken))

    def _most_documents(self, endpoint: Endpoint) -> int:
        stated = endpoint.options.batch_size or min(endpoint.limits.documents or _UNKNOWN_LIMIT, _MOST_DOCUMENTS)
        return min(stated, self._most.get(endpoint.url, stated))


def _key(call: Call, endpoint: Endpoint) -> _Key:
    """Calls with an equal key may share requests."""
    return id(endpoint), call.query

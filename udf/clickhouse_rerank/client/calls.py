"""What an endpoint answers to a call, in as many requests as it takes."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from ..admission.deadline import Deadline
from ..errors import RequestRejectedError
from ..request import plan, ranking, windows
from ..request.endpoint import Endpoint
from ..types import Call, CallScores, Scores
from ..usage.recorder import UsageLine


class _Client(Protocol):
    async def scores(self, part: plan.Part, endpoint: Endpoint, deadline: Deadline, line: UsageLine) -> Scores: ...


class Calls:
    """Asks endpoints for the scores of calls; each request is sent by `client`."""

    def __init__(self, client: _Client, max_request_bytes: int) -> None:
        self._client = client
        self._max_request_bytes = max_request_bytes

    def parts(self, call: Call, endpoint: Endpoint) -> Sequence[plan.Part]:
        """The requests of a call; for a model that writes an order, as they are if it leaves every window as it is.

        Errors: RequestRejectedError or CallerError for what does not fit into requests.
        """
        count = len(call.documents)
        if endpoint.writes_order:
            found = windows.windows(count, endpoint)
            parts = [windows.part(call, range(count), window, endpoint) for window in found]
        else:
            parts = plan.parts(call, endpoint)
        plan.check_sizes(parts, self._max_request_bytes)
        return parts

    async def scores(self, call: Call, endpoint: Endpoint, deadline: Deadline, line: UsageLine) -> CallScores:
        """What the endpoint answers to a call, in as many requests as it takes."""
        if endpoint.writes_order:
            return await self._ordered(call, endpoint, deadline, line)
        parts = self.parts(call, endpoint)
        line.requests += len(parts)
        return ranking.gathered(parts, await self._answers(parts, endpoint, deadline, line))

    async def _ordered(self, call: Call, endpoint: Endpoint, deadline: Deadline, line: UsageLine) -> CallScores:
        """The same of a model that writes an order: one request after the other, each about what the last one left."""
        order: Sequence[int] = range(len(call.documents))
        found = windows.windows(len(order), endpoint)
        line.requests += len(found)
        for window in found:
            part = windows.part(call, order, window, endpoint)
            plan.check_sizes([part], self._max_request_bytes)
            answer = await self._client.scores(part, endpoint, deadline, line)
            order = windows.moved(order, window, answer, endpoint)
            deadline.pause()
        return windows.scores(order)

    async def _answers(
        self, parts: Sequence[plan.Part], endpoint: Endpoint, deadline: Deadline, line: UsageLine
    ) -> list[Scores]:
        """The endpoint's answer to each request; the first failure cancels the other requests."""
        ask = self._answer if endpoint.asks_questions else self._client.scores
        if len(parts) == 1:
            return [await ask(parts[0], endpoint, deadline, line)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(part, endpoint, deadline, line)) for part in parts]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _answer(self, part: plan.Part, endpoint: Endpoint, deadline: Deadline, line: UsageLine) -> Scores:
        """A decision model's answer to a request, or to its halves if it refuses the request for its size."""
        documents = len(part.call.documents)
        try:
            scores = await self._client.scores(part, endpoint, deadline, line)
        except RequestRejectedError as error:
            if error.code != "TOO_LARGE" or documents == 1:
                raise
        else:
            line.refused += documents - len(scores)
            return scores
        halves = plan.halved(part, endpoint)
        line.requests += 1
        return ranking.joined(halves, await self._answers(halves, endpoint, deadline, line))

"""One request for the calls of many rows.

A request that the provider rejects is asked again in halves of its rows, until the rows that are at fault fail alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from ..admission.deadline import Deadline
from ..errors import RequestRejectedError, RerankError
from ..request.endpoint import Endpoint
from ..types import Call, CallScores
from ..usage.recorder import UsageLine
from .client import late

Ask = Callable[[Call, Endpoint, Deadline, UsageLine], Awaitable[CallScores]]
Key = tuple[int, str]
OpenLine = Callable[[Endpoint], AbstractContextManager[UsageLine]]

_MOST_CHARS = 4 << 20
_COMPANY_BYTES = 32 << 10
"""Bytes of rows that are read before a call without company leaves."""
_USUAL_GAPS = 16
_HOPELESS = 8
"""Rows that are rejected alone, and none accepted, after which the request itself is at fault."""


@dataclass(slots=True, eq=False)
class Waiter:
    """A call that waits for its scores. The result None says that it is alone, and asks for itself."""

    call: Call
    deadline: Deadline
    line: UsageLine
    result: "asyncio.Future[CallScores | None]"
    has_left: bool = False

    def fail(self, error: RerankError) -> None:
        if not self.result.done():
            self.result.set_exception(error.copy())


@dataclass(slots=True, eq=False)
class Group:
    """Calls that become one request."""

    key: Key
    """What its calls have in common."""
    endpoint: Endpoint
    ask: Ask
    """Gives the scores of a call."""
    open_line: OpenLine
    """Begins a line of the usage log."""
    most: int
    began_at: int
    """Bytes that were read when the first call joined."""
    joined_at: int
    waiters: list[Waiter] = field(default_factory=list)
    documents: dict[str, None] = field(default_factory=dict)
    chars: int = 0
    in_flight: int = 0
    """Calls that have left and have no scores yet."""
    task: "asyncio.Task[None] | None" = None
    refused_alone: int = 0
    is_accepted: bool = False
    taken: int = 0
    """Documents that the endpoint was found to take in one request, where it rejected more; else 0."""

    def takes(self, call: Call) -> bool:
        """Whether one request may hold the call too."""
        return (
            len(self.documents) + len(call.documents) <= self.most
            and self.chars + sum(map(len, call.documents)) <= _MOST_CHARS
        )

    def join(self, waiter: Waiter, read: int) -> None:
        self.waiters.append(waiter)
        for document in waiter.call.documents:
            if document not in self.documents:
                self.documents[document] = None
                self.chars += len(document)
        self.joined_at = read

    def is_full(self) -> bool:
        return len(self.documents) >= self.most or self.chars >= _MOST_CHARS

    def is_old(self, read: int) -> bool:
        """Whether no call has joined for a while, in bytes of rows that were read."""
        return read - self.joined_at > _COMPANY_BYTES

    def is_left_behind(self, read: int) -> bool:
        """Whether that is much longer than usual."""
        usual = (self.joined_at - self.began_at) // len(self.waiters)
        return read - self.joined_at > _COMPANY_BYTES + _USUAL_GAPS * usual

    def is_unwanted(self) -> bool:
        return all(waiter.result.done() for waiter in self.waiters)

    async def serve(self) -> None:
        """Give each waiter its scores or its error."""
        await self._serve(self.waiters)

    def end(self, task: "asyncio.Task[None]") -> None:
        """Let no call wait for a task that has ended with a defect."""
        defect = None if task.cancelled() else task.exception()
        for waiter in self.waiters:
            if defect is not None and not waiter.result.done():
                waiter.result.set_exception(defect)

    async def _serve(self, waiters: Sequence[Waiter]) -> None:
        """One request for all; in halves if it is rejected."""
        waiters = [waiter for waiter in waiters if not waiter.result.done()]
        if not waiters:
            return
        documents = list(dict.fromkeys(document for waiter in waiters for document in waiter.call.documents))
        call = replace(waiters[0].call, documents=documents, top_n=len(documents))
        deadline = self._deadline(waiters)
        try:
            with self.open_line(self.endpoint) as line:
                scores = await self.ask(call, self.endpoint, deadline, line)
        except RequestRejectedError as error:
            await self._serve_halves(waiters, error)
            return
        except RerankError as error:
            for waiter in waiters:
                waiter.deadline.follow(deadline)
                waiter.line.sent_with(line)
                waiter.fail(error)
            return
        self.is_accepted = True
        self._give(waiters, dict(zip(documents, scores, strict=True)), deadline, line)

    async def _serve_halves(self, waiters: Sequence[Waiter], error: RequestRejectedError) -> None:
        is_hopeless = self.refused_alone >= _HOPELESS and not self.is_accepted
        if len(waiters) == 1 or is_hopeless:
            self.refused_alone += 1
            for waiter in waiters:
                waiter.fail(error)
            return
        refused_before = self.refused_alone
        half = (len(waiters) + 1) // 2
        halves = waiters[:half], waiters[half:]
        if error.code == "TOO_LARGE":
            await asyncio.gather(*(self._serve(part) for part in halves))
        else:
            for part in halves:
                await self._serve(part)
        if self.refused_alone == refused_before:  # nothing in it was at fault but its size
            largest = max(sum(len(waiter.call.documents) for waiter in part) for part in halves)
            self.taken = min(largest, self.taken or largest)

    def _deadline(self, waiters: Sequence[Waiter]) -> Deadline:
        """The time of the most patient row; the others fail alone when theirs is over."""
        patient = max((waiter.deadline for waiter in waiters), key=lambda deadline: deadline.seconds)
        shared = Deadline(patient.seconds, patient.patience)
        hurried = [waiter for waiter in waiters if waiter.deadline.seconds < shared.seconds]
        loop = asyncio.get_running_loop()

        def began() -> None:
            for waiter in hurried:
                loop.call_later(waiter.deadline.seconds, ended, waiter)

        def ended(waiter: Waiter) -> None:
            if shared.used_s() >= waiter.deadline.seconds:  # else it was set back in the meantime
                waiter.deadline.follow(shared)
                waiter.fail(late(self.endpoint, waiter.deadline))

        if hurried:
            shared.on_begin = began
        return shared

    @staticmethod
    def _give(waiters: Sequence[Waiter], scores: dict[str, float | None], deadline: Deadline, line: UsageLine) -> None:
        seen: set[str] = set()
        for waiter in waiters:
            asked = waiter.call.documents
            waiter.line.cached += sum(document in seen for document in asked)
            waiter.line.sent_with(line)
            seen.update(asked)
            waiter.deadline.follow(deadline)
            if not waiter.result.done():
                waiter.result.set_result(CallScores([scores[document] for document in asked]))

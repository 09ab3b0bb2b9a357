"""When calls leave together, and what each of them gets."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext

import pytest

from asking import KEY, settings
from clickhouse_rerank.admission.deadline import Deadline
from clickhouse_rerank.client.shared_requests import SharedRequests
from clickhouse_rerank.errors import ProviderFailedError, RequestRejectedError, RerankError
from clickhouse_rerank.request.endpoint import Endpoint, resolve
from clickhouse_rerank.types import Call, CallScores
from clickhouse_rerank.usage.recorder import UsageLine

ENDPOINT = resolve("Cohere", "http://127.0.0.1:9/v1/rerank", KEY, '{"batch_size":100}', settings())


class Endpoints:
    """Stands for what is below: keeps what is asked, and answers with each document's number when it is told to."""

    def __init__(self, *, refuses: Callable[[Call], bool] = lambda _: False, places: int = 64) -> None:
        self.calls: list[list[str]] = []
        self.cancelled = 0
        self.answers = asyncio.Event()
        self.refuses = refuses
        self.line = UsageLine()
        self.shared = SharedRequests(self.ask, self.open_line, places)

    def open_line(self, _: Endpoint) -> AbstractContextManager[UsageLine]:
        return nullcontext(self.line)

    async def ask(self, call: Call, _: Endpoint, deadline: Deadline, line: UsageLine) -> CallScores:
        deadline.begin()
        self.calls.append([*call.documents])
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.refuses(call):
            raise RequestRejectedError("REJECTED", "no")
        return CallScores([float(document) for document in call.documents])

    def task(
        self, *documents: str, query: str = "q", seconds: float = 60.0, endpoint: Endpoint = ENDPOINT
    ) -> asyncio.Task[CallScores]:
        call = Call(query, documents, 1, "m", {})
        waiting = self.shared.scores(call, endpoint, Deadline(seconds, Deadline(60.0)), UsageLine())
        return asyncio.create_task(waiting)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(within())


async def turns() -> None:
    """Let the loop do all that needs no event from outside."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_lone_call_leaves_at_once() -> None:
    async def scenario() -> None:
        below = Endpoints()
        task = below.task("1")
        await turns()
        assert below.calls == [["1"]]
        below.answers.set()
        assert await task == [1.0]

    run(scenario)


def test_calls_that_are_expected_wait_for_company() -> None:
    """Until no more come; others questions and endpoints are groups of their own, and equal documents go once."""

    async def scenario() -> None:
        below = Endpoints()
        other = resolve("Cohere", "http://127.0.0.1:9/v1/rerank", KEY, '{"batch_size":100}', settings())
        below.shared.expect()
        tasks = [
            below.task("1", "2"),
            below.task("2", "3"),
            below.task("4", query="other"),
            below.task("5", query="other"),
            below.task("6", endpoint=other),
        ]
        await turns()
        assert below.calls == []
        below.shared.release()
        await turns()
        assert sorted(below.calls) == [["1", "2", "3"], ["4", "5"], ["6"]]
        below.answers.set()
        assert [await task for task in tasks] == [[1.0, 2.0], [2.0, 3.0], [4.0], [5.0], [6.0]]

    run(scenario)


def test_a_full_group_leaves() -> None:
    """A call that no longer fits opens the next; one that fills a request goes alone."""

    async def scenario() -> None:
        below = Endpoints()
        below.shared.expect()
        small = [below.task(*(str(10 * i + j) for j in range(10))) for i in range(9)]
        await turns()
        large = below.task(*map(str, range(1000, 1020)))
        whole = below.task(*map(str, range(2000, 2100)))
        await turns()
        assert sorted(map(len, below.calls)) == [90, 100]
        below.shared.release()
        below.answers.set()
        assert [len(await task) for task in (*small, large, whole)] == [10] * 9 + [20, 100]

    run(scenario)


def test_a_call_without_company_is_left_behind() -> None:
    """Rows with other questions pass by: it leaves after some of them, and a frequent question waits on."""

    async def scenario() -> None:
        below = Endpoints()
        below.shared.expect()
        below.task("1", query="lonely")
        for number in range(60):
            below.shared.read(1000)
            below.task(str(number), query="frequent")
            await turns()
        assert below.calls == [["1"]]

    run(scenario)


def test_a_stall_sends_what_has_nothing_in_flight() -> None:
    async def scenario() -> None:
        below = Endpoints()
        below.shared.expect()
        first = [below.task(str(number)) for number in range(100)]
        below.task("200")
        below.task("300", query="other")
        await turns()
        assert [len(call) for call in below.calls] == [100]
        below.shared.pause()
        await turns()
        assert [len(call) for call in below.calls[1:]] == [1] and below.calls[1] == ["300"]
        below.answers.set()
        await asyncio.gather(*first)
        below.shared.settle()
        await turns()
        assert below.calls[2] == ["200"]

    run(scenario)


def test_a_call_that_comes_after_the_stall_does_not_wait() -> None:
    """Nobody would tell it to leave: the engine sends no more rows before it is answered."""

    async def scenario() -> None:
        below = Endpoints()
        below.shared.expect()
        first = below.task("1")
        await turns()
        below.shared.pause()
        await turns()
        late = [below.task("2"), below.task("3")]
        await turns()
        assert below.calls == [["1"], ["2", "3"]]
        below.answers.set()
        assert [await task for task in (first, *late)] == [[1.0], [2.0], [3.0]]

    run(scenario)


def test_a_refused_request_is_halved_to_the_guilty_row() -> None:
    async def scenario() -> None:
        below = Endpoints(refuses=lambda call: "13" in call.documents)
        below.answers.set()
        below.shared.expect()
        tasks = [below.task(str(number)) for number in range(64)]
        await turns()
        below.shared.release()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [i for i, result in enumerate(results) if isinstance(result, RerankError)] == [13]
        assert [result for result in results if not isinstance(result, RerankError)] == [
            [float(number)] for number in range(64) if number != 13
        ]
        assert len(below.calls) == 1 + 2 * 6

    run(scenario)


def test_the_patient_row_keeps_the_request_alive() -> None:
    """The hurried row fails alone, with its own time in the error."""

    async def scenario() -> None:
        below = Endpoints()
        below.shared.expect()
        hurried, patient = below.task("1", seconds=0.01), below.task("2", seconds=60.0)
        await turns()
        below.shared.release()
        with pytest.raises(ProviderFailedError, match=r"within 0\.01 s") as raised:
            await hurried
        assert raised.value.code == "TIMEOUT" and not patient.done()
        below.answers.set()
        assert await patient == [2.0]

    run(scenario)


def test_cancelled_calls_leave_the_request_to_the_others() -> None:
    """The last of them takes it along, and has ended only when it has."""

    async def scenario() -> None:
        below = Endpoints()
        below.shared.expect()
        tasks = [below.task("1"), below.task("2")]
        await turns()
        below.shared.release()
        await turns()
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        assert below.cancelled == 0
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        assert below.cancelled == 1

    run(scenario)


def test_a_call_that_left_before_its_group_is_not_asked() -> None:
    async def scenario() -> None:
        below = Endpoints()
        below.shared.expect()
        tasks = [below.task("1"), below.task("2"), below.task("3")]
        await turns()
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        below.shared.release()
        await turns()
        assert below.calls == [["1", "3"]]
        below.answers.set()
        assert [await tasks[0], await tasks[2]] == [[1.0], [3.0]]

    run(scenario)


def test_a_group_without_a_place_still_takes_calls() -> None:
    """What has come when a place is free goes together, the oldest group first."""

    async def scenario() -> None:
        below = Endpoints(places=1)
        first = below.task("1")
        await turns()
        rest = [below.task(str(number)) for number in range(2, 5)] + [below.task("9", query="other")]
        await turns()
        rest.append(below.task("5"))
        await turns()
        assert below.calls == [["1"]]
        below.answers.set()
        assert [await task for task in (first, *rest)] == [[1.0], [2.0], [3.0], [4.0], [9.0], [5.0]]
        assert below.calls == [["1"], ["2", "3", "4", "5"], ["9"]]

    run(scenario)


def test_an_error_holds_nothing_once_it_is_dropped() -> None:
    """Of a request that is refused, and of one that fails."""

    async def scenario() -> None:
        seen: list[weakref.ref[Deadline]] = []

        async def fail(below: Endpoints) -> None:
            deadlines = [Deadline(60.0, Deadline(0.0)) for _ in range(2)]
            seen.extend(map(weakref.ref, deadlines))
            calls = [
                below.shared.scores(Call("q", [str(number)], 1, "m", {}), ENDPOINT, deadline, UsageLine())
                for number, deadline in enumerate(deadlines)
            ]
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(one, RerankError) for one in found)

        def broken(_: Call) -> bool:
            raise ProviderFailedError("PROVIDER", "broken")

        for refuses in (lambda _: True, broken):
            below = Endpoints(refuses=refuses)
            below.answers.set()
            await fail(below)
            await turns()
        assert [deadline() for deadline in seen] == [None] * 4

    gc.collect()
    gc.disable()
    try:
        run(scenario)
    finally:
        gc.enable()


def test_a_defect_reaches_every_call() -> None:
    """No call waits for a request that has ended in an exception of another kind."""

    async def scenario() -> None:
        below = Endpoints(refuses=lambda _: 1 / 0 > 0)
        below.answers.set()
        tasks = [below.task("1"), below.task("2")]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [ZeroDivisionError] * 2
        with pytest.raises(ZeroDivisionError):
            await below.task("3")

    run(scenario)

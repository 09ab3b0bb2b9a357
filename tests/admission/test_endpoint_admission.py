"""Admission to one endpoint as a whole: what each outcome does, and where rows wait."""

import asyncio
import time

import pytest

from clickhouse_rerank.admission import retry
from clickhouse_rerank.admission.endpoint_admission import EndpointAdmission, EndpointAdmissions
from clickhouse_rerank.admission.outcome import Outcome
from clickhouse_rerank.admission.process_count import ProcessCount, ProcessCounts
from clickhouse_rerank.admission.shared_folder import shared_folder
from clickhouse_rerank.config.settings import Limits, Settings
from clickhouse_rerank.errors import ProviderFailedError
from clock import Clock

FAILED = ProviderFailedError("PROVIDER", "It is down.")


def admission(most: int = 8, patience_s: float = 75.0, clock: Clock | None = None) -> EndpointAdmission:
    return EndpointAdmission(most, ProcessCount(lambda: -1), patience_s, clock or time.monotonic, lambda: 0.0)


def limited(wait_s: float) -> ProviderFailedError:
    return ProviderFailedError("RATE_LIMIT", "Slow down.", wait_s=wait_s)


def test_rate_limited_rows_wait_for_the_pause_and_go_first() -> None:
    """Nobody enters before the wait that the endpoint named is over; a row that comes back enters before new ones."""

    async def run() -> list[str]:
        entry = admission(2)
        order: list[str] = []

        async def visit(name: str, ticket: int) -> None:
            async with entry.place(ticket):
                order.append(name)

        earlier = entry.ticket()
        entry.report(Outcome.RATE_LIMITED, time.monotonic(), limited(0.05))
        tickets = {"new": entry.ticket(), "newer": entry.ticket(), "again": earlier}
        visits = [asyncio.create_task(visit(name, ticket)) for name, ticket in tickets.items()]
        await asyncio.sleep(0)
        assert order == []
        await asyncio.gather(*visits)
        return order

    assert asyncio.run(run()) == ["again", "new", "newer"]


def test_rows_fail_at_once_where_the_wait_is_longer_than_theirs() -> None:
    """Those in line and those that come, with the wait in their error; the row in flight gives its place back."""

    async def run() -> list[object]:
        entry = admission(1, patience_s=1.0)

        async def visit() -> None:
            async with entry.place(entry.ticket()):
                raise AssertionError("let in during the pause")

        async with entry.place(entry.ticket()):
            waiting = [asyncio.create_task(visit()) for _ in range(2)]
            await asyncio.sleep(0)
            entry.report(Outcome.RATE_LIMITED, time.monotonic(), limited(20.0))
        assert entry.is_idle
        return await asyncio.gather(*waiting, visit(), return_exceptions=True)

    errors = asyncio.run(run())
    assert {str(error) for error in errors} == {
        "Rerank: RATE_LIMIT: Slow down. It asks to wait 20 s, longer than the row may take."
    }
    assert len({id(error) for error in errors}) == 3


@pytest.mark.parametrize(
    ("outcome", "is_allowed", "attempts", "retries"),
    [
        (Outcome.ANSWERED, True, retry.ATTEMPTS_OF_HEALTHY, 1),
        (Outcome.REJECTED, True, retry.ATTEMPTS_OF_HEALTHY, 1),
        (Outcome.FAILED, False, retry.ATTEMPTS, 0),
        (Outcome.NOT_SENT, True, retry.ATTEMPTS, 0),
        (Outcome.CANCELLED, True, retry.ATTEMPTS, 0),
    ],
)
def test_what_each_outcome_teaches(outcome: Outcome, is_allowed: bool, attempts: int, retries: int) -> None:
    """An endpoint that answers is healthy and refills the budget; one that fails is spared; the rest tells nothing."""
    entry = admission(clock=Clock())
    while entry.take_retry():
        pass
    for _ in range(50):
        entry.report(outcome, 0.0, FAILED if outcome is Outcome.FAILED else None)
    entry.allows()  # the probe of a failing one
    assert entry.allows() == is_allowed
    assert entry.allowed_attempts() == attempts
    assert entry.take_retry() == bool(retries)


def test_a_withheld_request_says_why() -> None:
    """By the last failure; one that was not sent is none."""
    entry = admission()
    assert str(entry.withheld("Acme")).startswith("Rerank: PROVIDER: Acme fails. Most requests failed of late")
    entry.report(Outcome.FAILED, 0.0, FAILED)
    entry.report(Outcome.NOT_SENT, 0.0, ProviderFailedError("REQUEST_LIMIT", "Spent."))
    said = "Rerank: PROVIDER: It is down. Most requests failed of late, so this one was not sent."
    assert str(entry.withheld("Acme")) == said


def test_an_endpoint_that_answers_or_may_yet_answer_others_is_waited_for() -> None:
    """A 429 means "later" then; else the row has to try again in its own time."""

    async def run() -> list[bool]:
        clock = Clock()
        entry = admission(clock=clock)
        seen = []
        async with entry.place(entry.ticket()):
            seen.append(entry.expects_answers())
            async with entry.place(entry.ticket()):
                seen.append(entry.expects_answers())
            entry.report(Outcome.ANSWERED)
            seen.append(entry.expects_answers())
            clock.now += 150
            seen.append(entry.expects_answers())
        return seen

    assert asyncio.run(run()) == [False, True, True, False]


def test_each_url_and_key_is_learned_of_by_itself() -> None:
    """The same one is found again; idle ones are forgotten when there are a thousand."""
    known = EndpointAdmissions(Limits(), ProcessCounts(shared_folder(Settings())))
    first = known.of("http://a/", "k", "a")
    assert known.of("http://a/", "k", "a") is first
    others = [known.of("http://a/", "l", "a"), known.of("http://a/b", "k", "a")]
    assert first not in others and others[0] is not others[1]

    async def crowd() -> None:
        async with first.place(first.ticket()):
            for number in range(1000):
                known.of("http://a/", f"key-{number}", "a")
            assert known.of("http://a/", "k", "a") is first
            assert known.of("http://a/", "l", "a") is not others[0]

    asyncio.run(crowd())

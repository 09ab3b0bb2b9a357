"""When pairs are scored, and what each call gets; the model itself is scripted."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import itertools
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asking import HANG_S, RIGHT, asked, asked_together, row, settings
from clickhouse_rerank.config.models import Model
from clickhouse_rerank.errors import ProviderFailedError, RerankError
from clickhouse_rerank.scorers import cross_encoders
from clickhouse_rerank.scorers.batches import batches
from clickhouse_rerank.scorers.cross_encoders import CrossEncoders
from clickhouse_rerank.types import Call, CallScores
from provider import Provider, Reply, Request, cohere

MODEL = Model("m", Path("/nowhere"))


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(1, 5000))
def test_batches(lengths: list[int], most: int) -> None:
    """Each position once, similar lengths together, within the bound, and no two that could be one."""
    groups = batches(lengths, most)
    assert sorted(position for group in groups for position in group) == list(range(len(lengths)))
    longest = [max(lengths[position] for position in group) for group in groups]
    assert all(len(group) == 1 or len(group) * most_of <= most for group, most_of in zip(groups, longest, strict=True))
    assert longest == sorted(longest)
    for group, after in itertools.pairwise(groups):
        assert (len(group) + 1) * lengths[after[0]] > most


class Scripted:
    """A model whose score is the document's number. A document "slow" waits until it is told to go on."""

    def __init__(self) -> None:
        self.encoded: list[int] = []
        self.scored: list[str] = []
        self.goes_on = threading.Event()
        self.begins = threading.Semaphore(0)
        """Released when a batch begins."""
        self.during: Callable[[], object] = lambda: None

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        self.encoded.append(len(pairs))
        return [document for _, document in pairs]

    def scores(self, encodings: Sequence[str], label: str = "") -> list[float]:
        self.begins.release()
        self.during()
        self.scored += encodings
        if "slow" in encodings:
            assert self.goes_on.wait(HANG_S)
        if "broken" in encodings:
            raise ProviderFailedError("MODEL", "broken")
        if "defect" in encodings:
            raise ZeroDivisionError
        return [float(document) if document.isdecimal() else 0.0 for document in encodings]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    scripted = Scripted()
    monkeypatch.setattr(cross_encoders, "CrossEncoder", lambda _: scripted)
    return scripted


@pytest.fixture
def scorer(tmp_path: Path) -> CrossEncoders:
    return CrossEncoders(lambda: os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600))


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(HANG_S):
            await scenario()

    asyncio.run(within())


def ask(
    scorer: CrossEncoders, *documents: str, model: Model = MODEL, begins: Callable[[], None] = lambda: None
) -> asyncio.Task[CallScores]:
    return asyncio.create_task(scorer.scores(Call("q", documents, 1, model.name, {}), model, "", begins))


def test_calls_of_a_time_share_batches(scorer: CrossEncoders, model: Scripted) -> None:
    async def scenario() -> None:
        tasks = [ask(scorer, str(number), "7") for number in range(100)]
        assert [await task for task in tasks] == [[float(number), 7.0] for number in range(100)]
        assert model.encoded == [64, 136]

    run(scenario)


def test_a_long_call_is_scored_in_rounds(scorer: CrossEncoders, model: Scripted) -> None:
    """One that came after it takes part in the last."""

    async def scenario() -> None:
        long = ask(scorer, *map(str, range(1100)))
        short = ask(scorer, "3")
        assert await long == list(map(float, range(1100))) and await short == [3.0]
        assert model.encoded == [64, 512, 512, 13]

    run(scenario)


def test_models_take_turns(scorer: CrossEncoders, model: Scripted) -> None:
    """A call of another model does not wait for all rounds of a long one."""

    async def scenario() -> None:
        order: list[str] = []
        long = ask(scorer, *map(str, range(2000)))
        other = ask(scorer, "5", model=Model("other", Path("/nowhere")))
        long.add_done_callback(lambda _: order.append("long"))
        other.add_done_callback(lambda _: order.append("other"))
        await asyncio.gather(long, other)
        assert order == ["other", "long"]

    run(scenario)


def test_a_call_that_is_gone_is_not_scored(scorer: CrossEncoders, model: Scripted) -> None:
    """Before its turn and in it; the others get their scores."""

    async def scenario() -> None:
        first = ask(scorer, "slow")
        await asyncio.to_thread(model.begins.acquire, True, HANG_S)
        gone, stays = ask(scorer, "1", "2"), ask(scorer, "3")
        await asyncio.sleep(0)
        gone.cancel()
        model.goes_on.set()
        assert await first == [0.0] and await stays == [3.0]
        assert gone.cancelled() and model.scored == ["slow", "3"]

    run(scenario)


def test_a_failure_is_that_of_its_round(scorer: CrossEncoders, model: Scripted) -> None:
    """A model that fails, and a defect: no call waits for ever, and the next ones are scored."""

    async def scenario() -> None:
        for document, kind in (("broken", ProviderFailedError), ("defect", ZeroDivisionError)):
            found = await asyncio.gather(ask(scorer, document), ask(scorer, "1"), return_exceptions=True)
            assert [type(one) for one in found] == [kind] * 2
            assert await ask(scorer, "4") == [4.0]

    run(scenario)


def test_an_error_holds_nothing_once_it_is_dropped(scorer: CrossEncoders, model: Scripted) -> None:
    class Text(str):
        """A document that a weak reference can follow."""

    async def scenario() -> None:
        seen: list[weakref.ref[Text]] = []

        async def fail() -> None:
            text = Text("broken")
            seen.append(weakref.ref(text))
            found = await asyncio.gather(ask(scorer, text), return_exceptions=True)
            assert isinstance(found[0], RerankError)

        await fail()
        model.scored.clear()
        assert await ask(scorer, "1") == [1.0]
        assert [text() for text in seen] == [None]

    gc.collect()
    gc.disable()
    try:
        run(scenario)
    finally:
        gc.enable()


def test_a_batch_is_scored_in_the_process_whose_turn_it_is(
    scorer: CrossEncoders, model: Scripted, tmp_path: Path
) -> None:
    """Another descriptor of the file cannot have the lock while a batch is scored, and can have it after."""
    locked: list[bool] = []

    def during() -> None:
        other = os.open(tmp_path / "lock", os.O_RDWR)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked.append(False)
        except BlockingIOError:
            locked.append(True)
        finally:
            os.close(other)

    model.during = during

    async def scenario() -> None:
        assert await ask(scorer, "1") == [1.0]

    run(scenario)
    during()
    assert locked == [True, False]


def test_neither_the_model_nor_a_provider_waits_for_the_other(model: Scripted, provider: Provider) -> None:
    """The provider answers when the model is at work, and the model goes on when the provider was asked."""

    def script(request: Request) -> Reply:
        assert model.begins.acquire(timeout=HANG_S)
        model.goes_on.set()
        return cohere(request)

    provider.reset(script)
    here = row("", provider="CrossEncoder", key="", documents=["slow", "5"])
    there = row(provider.url)
    assert asked_together([here, there], within=replace(settings(), models={"m": MODEL})) == [
        [(1, 5.0), (0, 0.0)],
        RIGHT,
    ]


def test_a_row_s_time_begins_with_its_turn(model: Scripted) -> None:
    """A row whose turn is too long fails with TIMEOUT, and names what to change."""
    within = replace(settings(), models={"m": MODEL})
    one = row("", provider="CrossEncoder", key="", documents=["slow"], others={"timeout_s": 0.05})
    (error,) = asked(one, within=within)
    model.goes_on.set()
    assert isinstance(error, RerankError) and error.code == "TIMEOUT"
    assert "CrossEncoder did not answer within 0.05 s. Send less, or raise others.timeout_s." in str(error)

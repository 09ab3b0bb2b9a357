"""Calls that the server's own models score: pairs of all calls that wait share batches.

Flow: a call waits in the line of its model. A round takes pairs from the front of a line (`_round`), encodes them, and
scores them batch by batch on a thread, while the loop reads and writes. A call has its scores when the last of its
pairs has one. Processes take turns, batch by batch, so that all of them together use the threads of one.
"""

import asyncio
import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from ..config.models import Model
from ..errors import RerankError
from ..types import Call, CallScores
from .batches import batches
from .cross_encoder import CrossEncoder

_FIRST_PAIRS, _LEAST_PAIRS, _MOST_PAIRS = 64, 16, 512
"""Pairs of a round: they are encoded and sorted together, so many are better for batches of equal lengths."""
_ROUND_S = 2.0
"""How long a round is meant to last: the rows in it wait for its end, and their time runs."""
_NICENESS = 10
"""Added to the priority of the scoring threads: a database runs on the same processors."""
_T = TypeVar("_T")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A call on its way: `asked` of its documents are taken into rounds, and `left` have no score yet."""

    call: Call
    begins: Callable[[], None]
    result: "asyncio.Future[CallScores]"
    scores: list[float | None] = field(default_factory=list)
    asked: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class _Line:
    """What calls that share batches have in common."""

    model: Model
    stamp: str
    label: str


class CrossEncoders:
    """Scores calls by the server's models. `open_lock` gives a descriptor of the file that processes take turns by."""

    def __init__(self, open_lock: Callable[[], int]) -> None:
        self._open_lock = open_lock
        self._lock = -1
        self._lines: dict[_Line, deque[_Waiting]] = {}
        self._loaded: dict[str, tuple[_Line, CrossEncoder]] = {}
        self._thread = ThreadPoolExecutor(1, "scoring", _lower_priority)
        self._rounds: asyncio.Task[None] | None = None
        self._pairs: dict[str, int] = {}
        """Model -> pairs of its next round."""

    async def scores(self, call: Call, model: Model, stamp: str, begins: Callable[[], None]) -> CallScores:
        """The scores of a call. `begins` is called when its turn comes.

        `stamp` changes when a file of the model does, which is then loaded anew.
        Errors: ProviderFailedError with the code MODEL; CallerError for a label that the model does not have.
        """
        count = len(call.documents)
        waiting = _Waiting(call, begins, asyncio.get_running_loop().create_future(), [None] * count, left=count)
        self._lines.setdefault(_Line(model, stamp, call.score_label), deque()).append(waiting)
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._work())
        try:
            return await waiting.result
        finally:
            del waiting  # an error would hold this frame, which holds the error: a circle that keeps all texts

    def close(self) -> None:
        """Stop when the batch that is being scored is done."""
        if self._rounds is not None:
            self._rounds.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        """Rounds until no call waits; the lines take turns."""
        try:
            await asyncio.sleep(0)  # calls of the same turn of the loop join the first round
            while self._lines:
                line = next(iter(self._lines))
                waiting = self._lines.pop(line)
                await self._round(line, waiting)
                while waiting and waiting[0].asked == len(waiting[0].call.documents):
                    waiting.popleft()
                if waiting:
                    joined = self._lines.pop(line, deque())
                    self._lines[line] = waiting + joined
        finally:
            self._rounds = None

    async def _round(self, line: _Line, waiting: "deque[_Waiting]") -> None:
        taken = _taken(waiting, self._pairs.get(line.model.name, _FIRST_PAIRS))
        try:
            if not taken:
                return
            encoder = await self._encoder(line)
            began = asyncio.get_running_loop().time()
            encodings = await self._on_thread(
                lambda: encoder.encode([(one.call.query, one.call.documents[at]) for one, at in taken])
            )
            for batch in batches([len(encoding) for encoding in encodings]):
                wanted = [number for number in batch if not taken[number][0].result.done()]
                if wanted:
                    found = await self._on_thread(
                        lambda wanted=wanted: self._in_turn(  # type: ignore[misc]
                            lambda: encoder.scores([encodings[number] for number in wanted], line.label)
                        )
                    )
                    for number, score in zip(wanted, found, strict=True):
                        _keep(*taken[number], score)
            in_time = len(taken) * _ROUND_S / max(asyncio.get_running_loop().time() - began, 0.001)
            self._pairs[line.model.name] = round(min(max(in_time, _LEAST_PAIRS), _MOST_PAIRS))
        except RerankError as error:
            for one in {id(one): one for one, _ in taken}.values():
                one.asked = len(one.call.documents)
                if not one.result.done():
                    one.result.set_exception(error.copy())
        except Exception as defect:  # noqa: BLE001 - each call gets it
            for one in (*(one for one, _ in taken), *waiting):
                if not one.result.done():
                    one.result.set_exception(defect)

    async def _encoder(self, line: _Line) -> CrossEncoder:
        known = self._loaded.get(line.model.name)
        if known is None or (known[0].model, known[0].stamp) != (line.model, line.stamp):
            self._loaded.pop(line.model.name, None)
            known = self._loaded[line.model.name] = line, await self._on_thread(lambda: CrossEncoder(line.model))
        return known[1]

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _in_turn(self, work: Callable[[], _T]) -> _T:
        with self._turn():
            return work()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._lock < 0:
            self._lock = self._open_lock()
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def _taken(waiting: "deque[_Waiting]", most: int) -> list[tuple[_Waiting, int]]:
    """The next pairs of a line, at most so many: call and position of the document. Calls that are gone are skipped."""
    taken: list[tuple[_Waiting, int]] = []
    for one in waiting:
        if len(taken) >= most:
            break
        if one.result.done():
            one.asked = len(one.call.documents)
            continue
        if not one.asked:
            one.begins()
        until = min(len(one.call.documents), one.asked + most - len(taken))
        taken += [(one, at) for at in range(one.asked, until)]
        one.asked = until
    return taken


def _keep(one: _Waiting, at: int, score: float) -> None:
    one.scores[at] = score
    one.left -= 1
    if not one.left and not one.result.done():
        one.result.set_result(CallScores(one.scores))


def _lower_priority() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)

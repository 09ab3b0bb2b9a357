"""Ctrl-C, a closed terminal and `kill` while the embedded engine works: temporary files go, then the process ends.

A query runs inside the engine's native code, which no Python signal handler can stop. So it runs in a thread that the
process does not wait for, and the main thread, where Python runs signal handlers, only waits for its result.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_Result = TypeVar("_Result")


class Interrupted(BaseException):
    """A signal arrived that ends the process."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.strsignal(number))
        self.number = number


@contextmanager
def ends_the_process() -> Iterator[None]:
    """A context in which the signals raise Interrupted in the main thread, and which then ends the process.

    The process dies of the signal itself, so that a shell or a service manager sees why it ended. A signal that is
    ignored, as SIGHUP is under nohup, stays ignored.
    """
    old = {number: signal.getsignal(number) for number in _SIGNALS}
    caught = [number for number in _SIGNALS if old[number] in (signal.SIG_DFL, signal.default_int_handler)]
    for number in caught:
        signal.signal(number, _interrupt)
    try:
        yield
    except Interrupted as interrupted:
        signal.signal(interrupted.number, signal.SIG_DFL)
        os.kill(os.getpid(), interrupted.number)
        raise
    finally:
        for number in caught:
            signal.signal(number, old[number])


def _interrupt(number: int, _: FrameType | None) -> None:
    # A second signal of this kind ends the process at once, even if the removal of files does not come to an end.
    signal.signal(number, signal.SIG_DFL)
    raise Interrupted(number)


def in_thread(work: Callable[[], _Result]) -> "Future[_Result]":
    """Start `work` in a thread that does not keep the process alive; the result or the exception is in the future."""
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future

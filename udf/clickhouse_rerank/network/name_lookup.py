"""Addresses of host names, by the system's resolver. Nothing else in the package looks a name up.

An answer is used for ten seconds. Requests that need the same name at the same time share one look-up.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

HOLD_S = 10.0
_MAX_NAMES = 1000
_MAX_ADDRESSES = 8
_MAX_THREADS = 64
"""The system's look-up blocks a thread, and a name whose servers are silent blocks it for many seconds. asyncio's own
threads are so few that some such names would hold up all others."""


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MAX_THREADS, "look-up")


async def system_addresses(host: str) -> Sequence[str]:
    """The addresses of a name in the resolver's order. Errors: socket.gaierror, UnicodeError for no name."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_threads(), partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM))
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]


class NameLookup:
    """Looks names up and remembers the answers of the last ten seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, Sequence[str]]] = {}
        self._pending: dict[str, asyncio.Task[Sequence[str]]] = {}

    async def addresses(self, host: str) -> Sequence[str]:
        """At least one and at most eight different addresses. Errors: socket.gaierror, UnicodeError."""
        known = self._known.get(host)
        if known is not None and self._clock() - known[0] < HOLD_S:
            return known[1]
        task = self._pending.get(host)
        if task is None:
            task = self._pending[host] = asyncio.create_task(self._look_up(host))
            task.add_done_callback(lambda done: self._finished(host, done))
        # Shielded: a row that gives up must not take the answer from the other rows.
        return await asyncio.shield(task)

    async def _look_up(self, host: str) -> Sequence[str]:
        found = list(dict.fromkeys(await system_addresses(host)))[:_MAX_ADDRESSES]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        return found

    def _finished(self, host: str, task: "asyncio.Task[Sequence[str]]") -> None:
        del self._pending[host]
        # Asking for the exception also tells asyncio that nobody may be left to hear of it.
        if task.cancelled() or task.exception() is not None:
            self._known.pop(host, None)
            return
        if len(self._known) >= _MAX_NAMES:
            self._known.clear()
        self._known[host] = (self._clock(), task.result())

"""Single-flight: work that is asked for several times with the same key is done once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class SingleFlight(Generic[Result]):
    """Results by key, of work that is done or in flight. They are kept for as long as this object lives."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Future[Result]] = {}
        self._results: dict[Hashable, Result] = {}

    async def result(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> tuple[Result, bool]:
        """The result of `work` for a key, and whether an earlier caller's work gave it.

        If the work fails, its caller gets the error, and the others are canceled.
        """
        if key in self._results:
            return self._results[key], True
        flight = self._flights.get(key)
        if flight is not None:
            # Shielded: a canceled waiter must not cancel the future of the others.
            return await asyncio.shield(flight), True
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            result = await work()
        except BaseException:
            flight.cancel()
            raise
        flight.set_result(result)
        del self._flights[key]
        self._results[key] = result
        return result, False

"""One row -> its ranking: resolve, plan, ask, merge. Knows no stream and no format."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache

from . import endpoints, plan
from .endpoints import Endpoint
from .errors import CallerError, ProviderFailedError, RequestRejectedError
from .exchange import Deadline, Exchange
from .model import Call, Ranking, Row, Scores
from .settings import Settings


class Reranker:
    """Ranks rows, many at a time; holds the connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._exchange = Exchange(settings)
        self._resolve = lru_cache(maxsize=256)(self._resolve_anew)

    async def rank(self, row: Row) -> Ranking:
        """The best `top_k` documents of a row. Errors: RerankError."""
        endpoint = self._resolve(row.provider, row.base_url, row.api_key, row.others)
        if not row.documents or row.top_k == 0:
            return []
        if not row.query.strip():
            raise CallerError("BAD_ARGUMENT", "The query is empty. Pass the text to rank by.")
        positions = plan.scored_positions(row)
        if not positions:
            return plan.ranking(row, positions, [], endpoint)
        try:
            answering, scores = await self._first_answer(row, positions, endpoint)
        except (ProviderFailedError, RequestRejectedError):
            if endpoint.options.on_error == "throw":
                raise
            return plan.unscored(row) if endpoint.options.on_error == "passthrough" else []
        return plan.ranking(row, positions, scores, answering)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._exchange.aclose()

    def _resolve_anew(self, provider: str, base_url: str, api_key: str, others: str) -> Endpoint:
        endpoint = endpoints.resolve(provider, base_url, api_key, others, self._settings)
        longest = self._settings.limits.row_deadline_s
        for asked in (endpoint, *endpoint.fallbacks):
            if (asked.options.timeout_s or 0) > longest:
                raise CallerError("BAD_OTHERS", f"others.timeout_s must be at most {longest:g}, the server's limit.")
        return endpoint

    async def _first_answer(self, row: Row, positions: Sequence[int], endpoint: Endpoint) -> tuple[Endpoint, Scores]:
        """The first endpoint of the row's that answers, and what it says.

        Those still to be asked share what is left of the row's time, so that a silent one leaves the others theirs.
        """
        left_s = endpoint.options.timeout_s or self._settings.limits.row_deadline_s
        chain = (endpoint, *endpoint.fallbacks)
        for asked, left in zip(chain, range(len(chain), 0, -1), strict=True):
            deadline = Deadline(min(left_s / left, asked.options.timeout_s or left_s))
            try:
                return asked, await self._asked(plan.call(row, positions, asked), asked, deadline)
            except ProviderFailedError:
                if left == 1:
                    raise
                left_s -= deadline.used_s()
        raise AssertionError("unreachable")

    async def _asked(self, call: Call, endpoint: Endpoint, deadline: Deadline) -> Scores:
        if not endpoint.provider.wire:
            return await asyncio.to_thread(_local, call)
        parts = plan.parts(call, endpoint)
        if len(parts) == 1:
            return await self._exchange.scores(parts[0], endpoint, deadline)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._exchange.scores(part, endpoint, deadline)) for part in parts]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return plan.merged(parts, [task.result() for task in tasks])


def _local(call: Call) -> Scores:
    from .local import bm25

    return bm25.scores(call)

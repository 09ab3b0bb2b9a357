"""One row -> its ranking: resolve, plan, ask, merge. Knows no stream and no format."""

import asyncio
from functools import lru_cache

from . import endpoints, plan
from .endpoints import Endpoint
from .errors import CallerError
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
        scores: Scores = []
        if positions:
            scores = await self._asked(plan.call(row, positions, endpoint), endpoint)
        return plan.ranking(row, positions, scores, endpoint)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._exchange.aclose()

    def _resolve_anew(self, provider: str, base_url: str, api_key: str, others: str) -> Endpoint:
        endpoint = endpoints.resolve(provider, base_url, api_key, others, self._settings)
        longest = self._settings.limits.row_deadline_s
        if (endpoint.options.timeout_s or 0) > longest:
            raise CallerError("BAD_OTHERS", f"others.timeout_s must be at most {longest:g}, the server's limit.")
        return endpoint

    async def _asked(self, call: Call, endpoint: Endpoint) -> Scores:
        if not endpoint.provider.wire:
            return await asyncio.to_thread(_local, call)
        deadline = Deadline(endpoint.options.timeout_s or self._settings.limits.row_deadline_s)
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

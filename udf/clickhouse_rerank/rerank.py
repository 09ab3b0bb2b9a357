"""One row -> its ranking: resolve, plan, ask, merge. Knows no stream and no format."""

import asyncio
import time
from collections.abc import Sequence
from functools import lru_cache

from . import endpoints, plan
from .cache import Cache
from .endpoints import Endpoint
from .errors import CallerError, ProviderFailedError, RequestRejectedError
from .exchange import Deadline, Exchange
from .model import Call, Ranking, Row, Scores
from .settings import Settings
from .storage import Caching

_KEYS_HOLD_S = 5.0  # a key file that changed is seen within this time


class Reranker:
    """Ranks rows, many at a time; holds the connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._exchange = Exchange(settings)
        self.counts = self._exchange.counts
        self._cache = Cache(settings.cache)
        self._no_cache = Cache(Caching(memory_s=0))
        self._resolve = lru_cache(maxsize=256)(self._resolve_anew)

    async def rank(self, row: Row, digest: bytes = b"") -> Ranking:
        """The best `top_k` documents of a row; `digest` tells it from any other. Errors: RerankError."""
        now = int(time.monotonic() // _KEYS_HOLD_S)
        endpoint = self._resolve(row.provider, row.base_url, row.api_key, row.others, now)
        if not row.documents or row.top_k == 0:
            return []
        most = self._settings.limits.max_documents
        if len(row.documents) > most:
            raise CallerError(
                "TOO_MANY_DOCUMENTS", f"A call may have {most} documents (limits.max_documents); one has more."
            )
        if not row.query.strip():
            raise CallerError("BAD_ARGUMENT", "The query is empty. Pass the text to rank by.")
        positions = plan.scored_positions(row)
        if not positions:
            return plan.ranking(row, positions, [], endpoint)
        try:
            answering, scores = await self._first_answer(row, positions, endpoint, digest)
        except (ProviderFailedError, RequestRejectedError):
            if endpoint.options.on_error == "throw":
                raise
            return plan.unscored(row) if endpoint.options.on_error == "passthrough" else []
        return plan.ranking(row, positions, scores, answering)

    def check_rows(self, rows: int) -> None:
        """Errors: TOO_MANY_ROWS for a chunk that the operator does not allow."""
        most = self._settings.limits.max_rows
        if rows > most:
            raise CallerError(
                "TOO_MANY_ROWS",
                f"A block may have {most} rows (limits.max_rows); one has {rows}. Set max_block_size, or rank fewer.",
            )

    def settle(self) -> None:
        """Write down what is kept of the answers so far; for moments without work."""
        self._cache.settle()

    def leave(self) -> None:
        """`settle`, before the process ends."""
        self._cache.close()

    async def aclose(self) -> None:
        """Close all connections."""
        self.leave()
        await self._exchange.aclose()

    def _resolve_anew(self, provider: str, base_url: str, api_key: str, others: str, _: int) -> Endpoint:
        endpoint = endpoints.resolve(provider, base_url, api_key, others, self._settings)
        longest = self._settings.limits.row_deadline_s
        for asked in (endpoint, *endpoint.fallbacks):
            if (asked.options.timeout_s or 0) > longest:
                raise CallerError("BAD_OTHERS", f"others.timeout_s must be at most {longest:g}, the server's limit.")
        return endpoint

    async def _first_answer(
        self, row: Row, positions: Sequence[int], endpoint: Endpoint, digest: bytes
    ) -> tuple[Endpoint, Scores]:
        """The first endpoint of the row's that answers, and what it says.

        Those still to be asked share what is left of the row's time, so that a silent one leaves the others theirs.
        """
        left_s = endpoint.options.timeout_s or self._settings.limits.row_deadline_s
        chain = (endpoint, *endpoint.fallbacks)
        cache = self._cache if endpoint.options.cache else self._no_cache
        for asked, left in zip(chain, range(len(chain), 0, -1), strict=True):
            deadline = Deadline(min(left_s / left, asked.options.timeout_s or left_s))
            try:
                call = plan.call(row, positions, asked)
                scores = await self._scores(call, asked, deadline, cache, digest)
                return asked, plan.spread(row, positions, call, scores)
            except ProviderFailedError:
                if left == 1:
                    raise
                left_s -= deadline.used_s()
        raise AssertionError("unreachable")

    async def _scores(self, call: Call, endpoint: Endpoint, deadline: Deadline, cache: Cache, digest: bytes) -> Scores:
        if not endpoint.provider.wire:
            return await asyncio.to_thread(_local, call)
        found = cache.look(call, endpoint, digest)
        if found.missing is None:
            return found.scores
        return found.keep(await self._asked(found.missing, endpoint, deadline))

    async def _asked(self, call: Call, endpoint: Endpoint, deadline: Deadline) -> Scores:
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

"""One row -> its ranking: resolve, plan, ask, merge. Knows no stream and no format."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from .admission.deadline import Deadline
from .cache.scores import Cache, Found
from .client import Client
from .config.settings import Settings
from .config.tables import CacheSettings
from .errors import CallerError, ProviderFailedError, RequestRejectedError
from .network import ssrf_guard
from .network.http import Transport
from .providers.base_url import parse_url
from .request import plan
from .request.endpoint import Endpoint, resolve
from .types import Call, Ranking, Row, Scores
from .usage import dry_run
from .usage.recorder import RowUsage, Usage, UsageLine

_Look = Callable[[Call, Endpoint], Found]
_KEYS_HOLD_S = 5.0  # a key file that changed is seen within this time


class Reranker:
    """Ranks rows, many at a time; holds the connections."""

    def __init__(self, settings: Settings, transport: Transport | None = None) -> None:
        self._settings = settings
        self._client = Client(settings, transport)
        self.counts = self._client.counts
        self._cache = Cache(settings.cache)
        self._no_cache = Cache(CacheSettings(memory_s=0))
        self._usage = Usage(settings.usage)
        self._resolve = lru_cache(maxsize=256)(self._resolve_anew)

    async def rank(self, row: Row, account: RowUsage | None = None, digest: bytes = b"") -> Ranking:
        """The best `top_k` documents of a row; `account` keeps what that took, `digest` tells the row from any other.

        Errors: RerankError.
        """
        endpoint = self._endpoint(row)
        if not row.documents or row.top_k == 0:
            return []
        self._check(row)
        positions = plan.scored_positions(row)
        if not positions:
            return plan.ranking(row, positions, [], endpoint)
        account = account or RowUsage()
        degraded = False
        try:
            look = partial(self._cache_for(endpoint).look, digest=digest)
            answering, scores = await self._first_answer(row, positions, endpoint, account, look)
        except (ProviderFailedError, RequestRejectedError):
            if endpoint.options.on_error == "throw":
                raise
            degraded = True
            return plan.unscored(row) if endpoint.options.on_error == "passthrough" else []
        finally:
            account.decided(degraded=degraded)
        return plan.ranking(row, positions, scores, answering)

    def dry_run(self, row: Row) -> str | None:
        """What ranking a row would send, where its options ask for that; else None. Errors: as those of `rank`."""
        endpoint = self._endpoint(row)
        if not endpoint.options.dry_run:
            return None
        if endpoint.url:
            ssrf_guard.permission(parse_url(endpoint.url), self._settings.network)
        positions: Sequence[int] = ()
        if row.documents and row.top_k:
            self._check(row)
            positions = plan.scored_positions(row)
        prices = self._settings.prices
        if not positions:
            return dry_run.text(endpoint, 0, 0, (), prices)
        call = plan.call(row, positions, endpoint)
        documents = len(call.documents)
        if not endpoint.provider.wire:
            return dry_run.text(endpoint, documents, 0, (), prices)
        missing = self._cache_for(endpoint).look(call, endpoint).missing
        if missing is None:
            return dry_run.text(endpoint, documents, documents, (), prices)
        parts = plan.parts(missing, endpoint)
        for part in parts:
            self._client.check(part)
        return dry_run.text(endpoint, documents, documents - len(missing.documents), parts, prices)

    def repeated(self, account: RowUsage) -> None:
        """A row that equals one ranked before had its answer."""
        self._usage.repeated(account)

    async def record(self, *, every: bool) -> None:
        """Write down what calls took so far; without `every`, if that was long ago."""
        if every or self._usage.is_due():
            await self._usage.write()

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
        """`settle` and `record`, before the process ends."""
        self._cache.close()
        self._usage.close()

    async def aclose(self) -> None:
        """Close all connections."""
        self.leave()
        await self._client.aclose()

    def _endpoint(self, row: Row) -> Endpoint:
        now = int(time.monotonic() // _KEYS_HOLD_S)
        return self._resolve(row.provider, row.base_url, row.api_key, row.others, now)

    def _check(self, row: Row) -> None:
        most = self._settings.limits.max_documents
        if len(row.documents) > most:
            raise CallerError(
                "TOO_MANY_DOCUMENTS", f"A call may have {most} documents (limits.max_documents); one has more."
            )
        if not row.query.strip():
            raise CallerError("BAD_ARGUMENT", "The query is empty. Pass the text to rank by.")

    def _resolve_anew(self, provider: str, base_url: str, api_key: str, others: str, _: int) -> Endpoint:
        endpoint = resolve(provider, base_url, api_key, others, self._settings)
        longest = self._settings.limits.row_deadline_s
        for asked in (endpoint, *endpoint.fallbacks):
            if (asked.options.timeout_s or 0) > longest:
                raise CallerError("BAD_OTHERS", f"others.timeout_s must be at most {longest:g}, the server's limit.")
        return endpoint

    def _cache_for(self, endpoint: Endpoint) -> Cache:
        return self._cache if endpoint.options.cache else self._no_cache

    async def _first_answer(
        self, row: Row, positions: Sequence[int], endpoint: Endpoint, account: RowUsage, look: _Look
    ) -> tuple[Endpoint, Scores]:
        """The first endpoint of the row's that answers, and what it says.

        Those still to be asked share what is left of the row's time, so that a silent one leaves the others theirs.
        """
        limits = self._settings.limits
        left_s = endpoint.options.timeout_s or limits.row_deadline_s
        patience = Deadline(limits.rate_limit_wait_s)
        chain = (endpoint, *endpoint.fallbacks)
        for nth, asked in enumerate(chain):
            left = len(chain) - nth
            deadline = Deadline(min(left_s / left, asked.options.timeout_s or left_s), patience)
            try:
                with self._usage.asking(asked, nth, account) as line:
                    call = plan.call(row, positions, asked)
                    scores = await self._scores(call, asked, deadline, look, line)
                    return asked, plan.spread(row, positions, call, scores)
            except ProviderFailedError:
                if left == 1:
                    raise
                left_s -= deadline.used_s()
        raise AssertionError("unreachable")

    async def _scores(self, call: Call, endpoint: Endpoint, deadline: Deadline, look: _Look, line: UsageLine) -> Scores:
        line.documents = len(call.documents)
        if not endpoint.provider.wire:
            return await asyncio.to_thread(_local, call)
        found = look(call, endpoint)
        if found.missing is None:
            line.cached = line.documents
            return found.scores
        line.cached = line.documents - len(found.missing.documents)
        return found.keep(await self._asked(found.missing, endpoint, deadline, line))

    async def _asked(self, call: Call, endpoint: Endpoint, deadline: Deadline, line: UsageLine) -> Scores:
        parts = plan.parts(call, endpoint)
        line.requests = len(parts)
        if len(parts) == 1:
            return await self._client.scores(parts[0], endpoint, deadline, line)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._client.scores(part, endpoint, deadline, line)) for part in parts]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return plan.merged(parts, [task.result() for task in tasks])


def _local(call: Call) -> Scores:
    from .scorers import bm25

    return bm25.scores(call)

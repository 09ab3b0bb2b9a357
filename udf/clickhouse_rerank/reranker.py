"""One row -> its ranking. Knows no stream and no format.

A row's arguments give an endpoint with its fallbacks (`_prepare`). For each endpoint in turn (`_first_answer`) the
documents become a call, the cache gives the scores that are known, and the rest is planned as requests (`_plan`); the
client or a scorer gives the missing scores (`_scores`). The first endpoint that answers decides the ranking (`rank`).
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from . import scorers
from .admission.deadline import Deadline
from .admission.shared_folder import scoring_lock
from .cache.scores import Cache, Lookup
from .client.calls import Calls
from .client.client import Client, late
from .client.shared_requests import SharedRequests
from .config.models import Model
from .config.settings import Settings
from .errors import ProviderFailedError, RequestRejectedError, RerankError
from .network import ssrf_guard
from .network.transport import Transport
from .providers.base_url import parse_url
from .request import passages, plan, ranking
from .request.asked import Asked, asked
from .request.endpoint import Endpoint
from .request.endpoints import Endpoints
from .request.others import Options
from .scorers.cross_encoders import CrossEncoders
from .types import Call, CallScores, Ranking, RequestNeed, Row, RowScores
from .usage import dry_run
from .usage.recorder import RowUsage, UsageLine, UsageRecorder

_CUT_IN_THREAD_CHARS = 200_000
_REQUESTS_PER_PLACE = 4  # for each that one endpoint may have in flight: some ask another, or wait for a retry


class _Planned(NamedTuple):
    """A call to one endpoint, as far as it can be planned without a request."""

    call: Call
    lookup: Lookup | None
    """What the cache knows; None where a scorer in the worker scores the call."""
    missing: Call | None
    """The call for what the cache does not know."""


class Reranker:
    """Ranks rows, many at a time. Owns the client, the cache and the usage log.

    `transport` carries requests. A dry run plans and counts calls, and sends and keeps nothing.
    """

    def __init__(self, settings: Settings, transport: Transport | None = None, *, is_dry_run: bool = False) -> None:
        self._settings = settings
        self._client = dry_run.PlanningClient() if is_dry_run else Client(settings, transport)
        self.counts = self._client.counts
        self._cache = Cache(settings.cache, is_dry_run=is_dry_run)
        self._usage = UsageRecorder(settings.usage)
        self._calls = Calls(self._client, settings.limits.max_request_bytes)
        most_in_flight = settings.limits.max_in_flight * _REQUESTS_PER_PLACE
        self.shared = SharedRequests(self._calls.scores, self._usage.shared_line, most_in_flight)
        self._endpoints = Endpoints(settings)
        self._cross_encoders = None if is_dry_run else CrossEncoders(partial(scoring_lock, settings))

    async def rank(self, row: Row, usage: RowUsage | None = None, digest: bytes = b"") -> Ranking:
        """The best `top_k` documents of a row.

        `usage` records what the row costs; `digest` is a hash of the whole row, which the cache can use.
        Errors: RerankError.
        """
        ask = await self._asked(row)
        endpoint = ask.endpoint
        if not ask.positions:
            return ask.ranked(RowScores([None] * len(ask.row.documents)), endpoint)
        usage = usage or RowUsage()
        degraded = False
        try:
            answering, scores = await self._first_answer(ask, usage, digest)
        except (ProviderFailedError, RequestRejectedError):
            if endpoint.options.on_error == "throw":
                raise
            degraded = True
            return ranking.unscored(row) if endpoint.options.on_error == "passthrough" else Ranking()
        finally:
            usage.decide(degraded=degraded)
        return ask.ranked(scores, answering)

    def options(self, row: Row) -> Options:
        """What the row's `others` say. Errors: CallerError."""
        return self._endpoints.of(row).options

    def shown(self, row: Row, found: Ranking) -> Sequence[str]:
        """The texts of a row's result, by the positions of its ranking. Errors: CallerError."""
        how = self.options(row).passages
        return row.documents if how is None else passages.shown(row, found, how)

    def shares(self, row: Row) -> bool:
        """Whether documents of a row may share requests, or batches, with those of other rows. Errors: CallerError."""
        return not self._endpoints.of(row).is_listwise

    def need(self, row: Row, digest: bytes) -> RequestNeed | None:
        """The request that ranking a row may need; None if the worker scores it or the cache knows all its scores."""
        try:
            ask = self._prepare(row)
            endpoint = ask.endpoint
            if not ask.positions or endpoint.provider.is_local or endpoint.options.dry_run:
                return None
            missing = self._cache.look(plan.call(ask.row, ask.positions, endpoint), endpoint, digest).missing
        except RerankError:
            return None  # ranking the row reports it
        if missing is None:
            return None
        return RequestNeed() if endpoint.is_listwise else self.shared.need(missing, endpoint)

    def dry_run(self, row: Row) -> str:
        """What ranking a row would send, as JSON. Errors: the errors of `rank` that need no response."""
        ask = self._prepare(row)
        endpoint = ask.endpoint
        if endpoint.url:
            ssrf_guard.check_host(parse_url(endpoint.url), self._settings.network)
        line = UsageLine()  # counts, but goes into no log
        missing = self._plan(ask, endpoint, line).missing if ask.positions else None
        parts = self._calls.parts(missing, endpoint) if missing and endpoint.url else ()
        return dry_run.text(endpoint, line, parts, self._settings.prices)

    def count_repeat(self, usage: RowUsage) -> None:
        """Count a row that equals an earlier one, and has its ranking, in the usage of the earlier row."""
        self._usage.repeat(usage)

    async def write_usage(self, *, every: bool) -> None:
        """Write pending lines of the usage log: with `every` all of them now, else only if they are due."""
        if every or self._usage.is_due():
            await self._usage.write()

    def flush_cache(self) -> None:
        """Write pending scores to the cache's file; call it when there is no other work."""
        self._cache.flush()

    def close_files(self) -> None:
        """Write what is pending in the cache and the usage log, before the process ends."""
        self._cache.close()
        self._usage.close()

    async def aclose(self) -> None:
        """Close files and connections."""
        self.close_files()
        if self._cross_encoders is not None:
            self._cross_encoders.close()
        await self._client.aclose()

    async def _asked(self, row: Row) -> Asked:
        """What `_prepare` says, without keeping the loop from other rows while long documents are cut."""
        is_cut = self._endpoints.of(row).options.passages is not None
        if is_cut and sum(map(len, row.documents)) > _CUT_IN_THREAD_CHARS:
            return await asyncio.to_thread(self._prepare, row)
        return self._prepare(row)

    def _prepare(self, row: Row) -> Asked:
        """What is asked for a row. Errors: CallerError; ProviderFailedError for a model without a tokenizer."""
        return asked(row, self._endpoints.of(row), self._settings.limits.max_documents, scorers.token_starts)

    async def _first_answer(self, ask: Asked, usage: RowUsage, digest: bytes) -> tuple[Endpoint, RowScores]:
        """The first endpoint of the chain that answers, and its scores.

        Each endpoint gets an equal share of the time that is left for the row, so that a silent endpoint leaves time
        for its fallbacks. Errors: ProviderFailedError of the last endpoint; RequestRejectedError of any endpoint, for
        a fallback would get the same request.
        """
        endpoint, limits = ask.endpoint, self._settings.limits
        left_s = endpoint.options.timeout_s or limits.row_deadline_s
        patience = Deadline(limits.rate_limit_wait_s)
        chain = (endpoint, *endpoint.fallbacks)
        for number, current in enumerate(chain):
            endpoints_left = len(chain) - number
            deadline = Deadline(min(left_s / endpoints_left, current.options.timeout_s or left_s), patience)
            try:
                with self._usage.line(current, number, usage) as line:
                    planned = self._plan(ask, current, line, digest)
                    scores = await self._scores(planned, current, deadline, line)
                    return current, ranking.row_scores(ask.row, ask.positions, planned.call, scores)
            except ProviderFailedError:
                if endpoints_left == 1:
                    raise
                left_s -= deadline.used_s()
        raise AssertionError("unreachable")

    def _plan(self, ask: Asked, endpoint: Endpoint, line: UsageLine, digest: bytes = b"") -> _Planned:
        """The call of a row to one endpoint; its numbers of documents and cached scores go into `line`.

        Errors: RequestRejectedError or CallerError for what does not fit into requests.
        """
        call = plan.call(ask.row, ask.positions, endpoint)
        line.documents = len(call.documents)
        line.left_out = ask.left_out
        if endpoint.provider.is_local and endpoint.is_listwise:
            return _Planned(call, None, None)  # scoring it costs less than a look-up
        lookup = self._cache.look(call, endpoint, digest)
        if lookup.missing is None:
            line.cached = line.documents
            return _Planned(call, lookup, None)
        line.cached = line.documents - len(lookup.missing.documents)
        return _Planned(call, lookup, lookup.missing)

    async def _scores(self, planned: _Planned, endpoint: Endpoint, deadline: Deadline, line: UsageLine) -> CallScores:
        lookup = planned.lookup
        if lookup is None:
            return await asyncio.to_thread(scorers.scores, planned.call)
        if planned.missing is None:
            return lookup.scores
        if endpoint.own_model is not None:
            fresh = await self._scored_here(planned.missing, endpoint, endpoint.own_model, deadline)
        else:
            ask = self._calls.scores if endpoint.is_listwise else self.shared.scores
            fresh = await ask(planned.missing, endpoint, deadline, line)
        lookup.keep(fresh)
        return ranking.completed(lookup.scores, fresh, endpoint)

    async def _scored_here(self, call: Call, endpoint: Endpoint, model: Model, deadline: Deadline) -> CallScores:
        """The scores of one of the server's models. The row's time begins with its turn."""
        if self._cross_encoders is None:
            return CallScores([0.0] * len(call.documents))
        try:
            async with asyncio.timeout(None) as time_limit:

                def begins() -> None:
                    deadline.begin()
                    time_limit.reschedule(asyncio.get_running_loop().time() + deadline.left_s())

                return await self._cross_encoders.scores(call, model, endpoint.stamp, begins)
        except TimeoutError:
            raise late(endpoint, deadline) from None

"""One row -> its ranking: plan, call the provider, read its answer, merge. Knows no stream and no format."""

import asyncio
from collections.abc import Mapping
from functools import lru_cache

import orjson

from . import auth, endpoints, plan, replies
from .endpoints import Endpoint
from .errors import CallerError, ProviderFailedError
from .model import Call, Ranking, Row, Scores, sendable
from .settings import Settings
from .transport import Transport
from .wires import WIRES, MalformedError

_HEADERS = {"Content-Type": "application/json", "User-Agent": "clickhouse-rerank"}


class Reranker:
    """Ranks rows, many at a time; holds the connections and how many calls each endpoint has in flight."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._transport = Transport(settings.network, settings.limits)
        self._slots: dict[tuple[str, str], asyncio.Semaphore] = {}
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
            call = plan.call(row, positions, endpoint)
            scores = await (self._asked(call, endpoint) if endpoint.provider.wire else asyncio.to_thread(_local, call))
        return plan.ranking(row, positions, scores, endpoint)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def _resolve_anew(self, provider: str, base_url: str, api_key: str, others: str) -> Endpoint:
        endpoint = endpoints.resolve(provider, base_url, api_key, others, self._settings)
        longest = self._settings.limits.row_deadline_s
        if (endpoint.options.timeout_s or 0) > longest:
            raise CallerError("BAD_OTHERS", f"others.timeout_s must be at most {longest:g}, the server's limit.")
        return endpoint

    async def _asked(self, call: Call, endpoint: Endpoint) -> Scores:
        """Scores from the endpoint, within the row's deadline, which begins when the endpoint has room for the call."""
        deadline_s = endpoint.options.timeout_s or self._settings.limits.row_deadline_s
        async with self._slot(endpoint):
            try:
                async with asyncio.timeout(deadline_s):
                    return await self._attempt(call, endpoint)
            except TimeoutError:
                name = endpoint.provider.name
                raise ProviderFailedError(
                    "TIMEOUT",
                    f"{name} did not answer within {deadline_s:g} s. Send less, or raise others.timeout_s.",
                    retryable=True,
                ) from None

    async def _attempt(self, call: Call, endpoint: Endpoint) -> Scores:
        wire = WIRES[endpoint.options.wire or endpoint.provider.wire]
        body = _json(wire.body(call))
        reply = await self._transport.post(endpoint.url, _authorised(endpoint, body), body)
        try:
            return wire.scores(replies.payload(reply, endpoint), call)
        except MalformedError as error:
            name = endpoint.provider.name
            raise ProviderFailedError(
                "PROTOCOL", f"The answer of {name} {error}. Check that base_url is a rerank endpoint."
            ) from None

    def _slot(self, endpoint: Endpoint) -> asyncio.Semaphore:
        key = (endpoint.url, endpoint.key.reveal())
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = asyncio.Semaphore(self._settings.limits.max_in_flight)
        return slot


def _authorised(endpoint: Endpoint, body: bytes) -> Mapping[str, str]:
    aws = endpoint.provider.aws
    if aws is None:
        return {**_HEADERS, **auth.bearer(endpoint.key)}
    options = endpoint.options
    keys = auth.AwsKeys(options.access_key_id, endpoint.key, options.session_token, options.region_name, aws.signing)
    return auth.sigv4(endpoint.url, _HEADERS, body, keys)


def _local(call: Call) -> Scores:
    from .local import bm25

    return bm25.scores(call)


def _json(body: object) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        return orjson.dumps(_valid(body))


def _valid(value: object) -> object:
    """The same JSON value with every text made valid Unicode: lone surrogates make some servers fail."""
    if isinstance(value, str):
        return sendable(value)
    if isinstance(value, Mapping):
        return {sendable(str(key)): _valid(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_valid(member) for member in value]
    return value

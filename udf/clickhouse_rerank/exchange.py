"""One call -> its scores, over the network: body, key, admission, attempts, all within one deadline."""

import asyncio
import time
from collections.abc import Mapping
from itertools import count

from . import replies, retry
from .endpoints import Endpoint
from .errors import ProviderFailedError, RequestRejectedError, RerankError
from .gate import Gate
from .meter import meters
from .model import Scores
from .plan import Part
from .settings import Settings
from .transport import Reply, Transport
from .wires import WIRES, MalformedError

_MAX_GATES = 1000
_NOTHING_ASKED = frozenset(("RESOURCE", "REQUEST_LIMIT", "DOCUMENT_LIMIT"))
_HEADERS = {"Content-Type": "application/json", "User-Agent": "clickhouse-rerank"}


class Deadline:
    """The time one call may take; it begins when the endpoint has room for its first request."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._began = -1.0

    def begin(self) -> None:
        """Start the clock; only the first time counts."""
        if self._began < 0:
            self._began = asyncio.get_running_loop().time()

    def used_s(self) -> float:
        """Seconds since the beginning; 0 before it."""
        return asyncio.get_running_loop().time() - self._began if self._began >= 0 else 0.0

    def left_s(self) -> float:
        """Seconds until the end; negative behind it."""
        return self.seconds - self.used_s()


class Exchange:
    """Asks endpoints for scores; keeps, per endpoint and key, how hard each may be asked."""

    def __init__(self, settings: Settings) -> None:
        self._transport = Transport(settings.network, settings.limits)
        self._limits = settings.limits
        self._meters = meters(settings)
        self._gates: dict[tuple[str, str], Gate] = {}

    async def scores(self, part: Part, endpoint: Endpoint, deadline: Deadline) -> Scores:
        """What the endpoint says of a request. Errors: RerankError; TIMEOUT at the deadline, whatever is going on."""
        gate = self._gate(endpoint)
        async with gate:
            deadline.begin()
            try:
                async with asyncio.timeout(max(0.0, deadline.left_s())):
                    return await self._attempts(part, endpoint, deadline, gate)
            except TimeoutError:
                seconds = round(deadline.seconds, 2) or deadline.seconds
                late = f"{endpoint.provider.name} did not answer within {seconds:g} s"
                error = ProviderFailedError("TIMEOUT", f"{late}. Send less, or raise others.timeout_s.")
                gate.failed(error)
                raise error from None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _attempts(self, part: Part, endpoint: Endpoint, deadline: Deadline, gate: Gate) -> Scores:
        if len(part.body) > self._limits.max_request_bytes:
            most = f"{self._limits.max_request_bytes >> 20} MiB"
            raise RequestRejectedError("TOO_LARGE", f"The request exceeds {most}. Send fewer or shorter documents.")
        if not await gate.admitted():
            raise _withheld(gate, endpoint)
        for attempt in count(1):
            asked_at = time.monotonic()
            try:
                if endpoint.credential in self._meters:
                    self._meters[endpoint.credential].spend(len(part.call.documents))
                reply = await self._transport.post(endpoint.url, await _signed(endpoint, part.body), part.body)
                scores = _read(reply, part, endpoint)
            except ProviderFailedError as error:
                if error.code == "RATE_LIMIT":
                    gate.crowded(asked_at)
                elif error.code in _NOTHING_ASKED:
                    gate.withdrawn()
                else:
                    gate.failed(error)
                left_s = deadline.left_s()
                most = retry.ATTEMPTS_OF_HEALTHY if gate.is_healthy() else retry.ATTEMPTS
                pause_s = retry.pause_s(error, attempt, left_s, most)
                if pause_s is None or not gate.pay_for_retry():
                    raise _hinting(error, left_s) from None
                await asyncio.sleep(pause_s)
            except RerankError:
                gate.accepted()
                raise
            except asyncio.CancelledError:
                gate.withdrawn()
                raise
            else:
                gate.accepted()
                return scores
        raise AssertionError("unreachable")

    def _gate(self, endpoint: Endpoint) -> Gate:
        key = (endpoint.url, endpoint.key.reveal())
        gate = self._gates.get(key)
        if gate is None:
            if len(self._gates) >= _MAX_GATES:
                # Many keys or URLs in one query: what was learned of those not in use is given up.
                self._gates = {known: gate for known, gate in self._gates.items() if not gate.idle}
            gate = self._gates[key] = Gate(self._limits.max_in_flight)
        return gate


async def _signed(endpoint: Endpoint, body: bytes) -> Mapping[str, str]:
    if endpoint.ambient:  # which may ask a metadata service
        return await asyncio.to_thread(endpoint.signed, _HEADERS, body)
    return endpoint.signed(_HEADERS, body)


def _withheld(gate: Gate, endpoint: Endpoint) -> ProviderFailedError:
    """The error of a request that is not sent, with the reason of those that were."""
    last = gate.last_failure or ProviderFailedError("PROVIDER", f"{endpoint.provider.name} fails.")
    return ProviderFailedError(last.code, f"{last.message} Most requests failed of late, so this one was not sent.")


def _hinting(error: ProviderFailedError, left_s: float) -> ProviderFailedError:
    """The error, with the wait that the provider wants where that is longer than the row may take."""
    if error.wait_s is None or error.wait_s < left_s:
        return error
    asks = f"It asks to wait {error.wait_s:.0f} s, longer than the row may take."
    return ProviderFailedError(error.code, f"{error.message} {asks}", retryable=error.retryable, wait_s=error.wait_s)


def _read(reply: Reply, part: Part, endpoint: Endpoint) -> Scores:
    try:
        return WIRES[endpoint.wire].scores(replies.payload(reply, endpoint, part.call), part.call)
    except ProviderFailedError as error:
        if error.wait_s is None:
            error.wait_s = retry.hinted_s(reply.headers, time.time())
        raise
    except MalformedError as error:
        name = endpoint.provider.name
        raise ProviderFailedError(
            "PROTOCOL", f"The answer of {name} {error}. Check that base_url is a rerank endpoint."
        ) from None

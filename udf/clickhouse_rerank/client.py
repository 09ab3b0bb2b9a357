"""One call -> its scores, over the network: body, key, admission, attempts, all within one deadline."""

import asyncio
import contextlib
import hashlib
import time
from itertools import count

from .admission import retry
from .admission.gate import Gate
from .admission.process_count import ProcessCount
from .admission.quota import quotas, shared_file, shared_folder
from .config.settings import Settings
from .errors import CallerError, ProviderFailedError, RequestRejectedError, RerankError
from .network import responses
from .network.http import HttpTransport
from .network.transport import Response, Transport
from .providers.wires import WIRES, MalformedError
from .request.endpoint import Endpoint
from .request.plan import Part
from .types import Scores
from .usage.counters import Counts
from .usage.recorder import UsageLine

_MAX_GATES = 1000
_NOTHING_ASKED = frozenset(("RESOURCE", "REQUEST_LIMIT", "DOCUMENT_LIMIT"))
_MAX_HOSTS = 16  # each has a descriptor
_HEADERS = {"Content-Type": "application/json", "User-Agent": "clickhouse-rerank"}


class Deadline:
    """The time one call may take; it begins when the endpoint has room for its first request."""

    def __init__(self, seconds: float, patience: "Deadline | None" = None) -> None:
        self.seconds = seconds
        self.patience = patience
        """How long the row may wait in line in all, from the first time that it is turned away."""
        self._began = -1.0

    def begin(self) -> None:
        """Start the clock; only the first time counts."""
        if self._began < 0:
            self._began = asyncio.get_running_loop().time()

    def restart(self) -> None:
        """As if it had not begun."""
        self._began = -1.0

    def used_s(self) -> float:
        """Seconds since the beginning; 0 before it."""
        return asyncio.get_running_loop().time() - self._began if self._began >= 0 else 0.0

    def left_s(self) -> float:
        """Seconds until the end; negative behind it."""
        return self.seconds - self.used_s()


class _TurnedAwayError(Exception):
    """The endpoint answers others, but said "too many requests" to this one."""

    def __init__(self, error: ProviderFailedError) -> None:
        super().__init__()
        self.error = error


class Client:
    """Asks endpoints for scores; keeps, per endpoint and key, how hard each may be asked."""

    def __init__(self, settings: Settings, transport: Transport | None = None) -> None:
        self._transport = transport or HttpTransport(settings.network, settings.limits)
        self._limits = settings.limits
        self._shared = shared_folder(settings)
        self._hosts: dict[str, ProcessCount] = {}
        self._quotas = quotas(settings)
        self._gates: dict[tuple[str, str], Gate] = {}
        self.counts = Counts()

    async def scores(self, part: Part, endpoint: Endpoint, deadline: Deadline, line: UsageLine) -> Scores:
        """What the endpoint says of a request, and in `line` what that took.

        Errors: RerankError; TIMEOUT at the deadline, whatever is going on.
        """
        gate = self._gate(endpoint)
        ticket = gate.ticket()
        patience = deadline.patience or Deadline(self._limits.rate_limit_wait_s)
        while True:
            async with gate.place(ticket):
                deadline.begin()
                try:
                    async with asyncio.timeout(max(0.0, deadline.left_s())):
                        return await self._attempts(part, endpoint, deadline, gate, line)
                except _TurnedAwayError as turned_away:
                    # It has no room after all: the row waits in line again, and its time has not begun.
                    patience.begin()
                    if patience.left_s() < (turned_away.error.wait_s or 0.0):
                        raise _hinting(turned_away.error, patience.left_s()) from None
                    deadline.restart()
                except TimeoutError:
                    seconds = round(deadline.seconds, 2) or deadline.seconds
                    late = f"{endpoint.provider.name} did not answer within {seconds:g} s"
                    error = ProviderFailedError("TIMEOUT", f"{late}. Send less, or raise others.timeout_s.")
                    gate.failed(error)
                    self.counts.errors += 1
                    raise error from None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()
        for process_count in self._hosts.values():
            process_count.close()

    def check(self, part: Part) -> None:
        """Errors: TOO_LARGE for a request that the operator does not allow."""
        if len(part.body) > self._limits.max_request_bytes:
            most = f"{self._limits.max_request_bytes >> 20} MiB"
            raise RequestRejectedError("TOO_LARGE", f"The request exceeds {most}. Send fewer or shorter documents.")

    async def _attempts(
        self, part: Part, endpoint: Endpoint, deadline: Deadline, gate: Gate, line: UsageLine
    ) -> Scores:
        self.check(part)
        if not await gate.admitted():
            raise _withheld(gate, endpoint)
        for attempt in count(1):
            asked_at = time.monotonic()
            try:
                scores = _read(await self._sent(part, endpoint, line), part, endpoint, line)
            except ProviderFailedError as error:
                self.counts.errors += 1
                line.rate_limited += error.code == "RATE_LIMIT"
                _learn(gate, error, asked_at)
                left_s = deadline.left_s()
                allowed = retry.ATTEMPTS_OF_HEALTHY if gate.is_healthy() else retry.ATTEMPTS
                pause_s = retry.pause_s(error, attempt, left_s, allowed)
                if pause_s is None or not gate.pay_for_retry():
                    raise _hinting(error, left_s) from None
                await asyncio.sleep(pause_s)
            except RerankError:
                self.counts.errors += 1
                gate.accepted()
                raise
            except asyncio.CancelledError:
                gate.withdrawn()
                raise
            else:
                line.answered += 1
                gate.accepted()
                return scores
        raise AssertionError("unreachable")

    async def _sent(self, part: Part, endpoint: Endpoint, line: UsageLine) -> Response:
        """The response to a request, if the endpoint's credential may send it."""
        if endpoint.credential in self._quotas:
            self._quotas[endpoint.credential].spend(len(part.call.documents))
        if endpoint.uses_server_identity:  # which may ask a metadata service
            headers = await asyncio.to_thread(endpoint.signed, _HEADERS, part.body)
        else:
            headers = endpoint.signed(_HEADERS, part.body)
        self.counts.requests += 1
        line.sent()
        try:
            response = await self._transport.post(endpoint.url, headers, part.body)
        except CallerError:  # it may not be sent there
            line.attempts -= 1
            raise
        except ProviderFailedError as error:
            line.attempts += error.sent - 1
            raise
        line.attempts += response.sent - 1
        return response

    def _gate(self, endpoint: Endpoint) -> Gate:
        key = (endpoint.url, endpoint.key.reveal())
        gate = self._gates.get(key)
        if gate is None:
            if len(self._gates) >= _MAX_GATES:
                # Many keys or URLs in one query: what was learned of those not in use is given up.
                self._gates = {known: gate for known, gate in self._gates.items() if not gate.idle}
            gate = self._gates[key] = Gate(
                self._limits.max_in_flight,
                process_count=self._process_count(endpoint),
                patience_s=self._limits.rate_limit_wait_s,
            )
        return gate

    def _process_count(self, endpoint: Endpoint) -> ProcessCount:
        """Those that ask the same host; none where there is no folder to share: then each process is on its own."""
        name = hashlib.sha256(endpoint.host.encode()).hexdigest()[:32]
        if name not in self._hosts and len(self._hosts) < _MAX_HOSTS:
            with contextlib.suppress(CallerError):
                self._hosts[name] = ProcessCount(shared_file(self._shared, f"{name}.asking"))
        return self._hosts.get(name) or ProcessCount(-1)


def _learn(gate: Gate, error: ProviderFailedError, asked_at: float) -> None:
    """Tell the gate of a failed request; errors: _TurnedAwayError where it is to wait in line instead of failing."""
    if error.code == "RATE_LIMIT":
        gate.crowded(asked_at, error.wait_s, _hinting(error, gate.patience_s))
        if gate.is_flowing():
            raise _TurnedAwayError(error) from None
    elif error.code in _NOTHING_ASKED:
        gate.withdrawn()
    else:
        gate.failed(error)


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


def _read(response: Response, part: Part, endpoint: Endpoint, line: UsageLine) -> Scores:
    wire = WIRES[endpoint.wire]
    try:
        payload = responses.payload(response, endpoint, part.call)
        line.charge(wire.billed_units(payload, response.headers))
        return wire.scores(payload, part.call)
    except ProviderFailedError as error:
        if error.wait_s is None:
            error.wait_s = retry.hinted_s(response.headers, time.time())
        raise
    except MalformedError as error:
        name = endpoint.provider.name
        raise ProviderFailedError(
            "PROTOCOL", f"The answer of {name} {error}. Check that base_url is a rerank endpoint."
        ) from None

"""One request -> its scores, over the network: a place in line, attempts, and what each attempt teaches.

Each attempt ends in one `Outcome`; `Client._report` tells it to admission, to the usage line and to the counters.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count

from ..admission import retry
from ..admission.deadline import Deadline
from ..admission.endpoint_admission import EndpointAdmission, EndpointAdmissions
from ..admission.hedge import hedged
from ..admission.outcome import Outcome
from ..admission.process_count import ProcessCounts
from ..admission.quota import quotas
from ..admission.shared_folder import shared_folder
from ..config.settings import Settings
from ..errors import ProviderFailedError, RerankError
from ..network import responses
from ..network.http import HttpTransport
from ..network.transport import Response, Transport
from ..providers.wires import RANKING_WIRES, WIRES, MalformedError
from ..request.endpoint import Endpoint
from ..request.plan import Part
from ..types import BilledUnits, Scores
from ..usage.counters import Counts
from ..usage.recorder import UsageLine

_NOT_SENT = frozenset(("RESOURCE", "REQUEST_LIMIT", "DOCUMENT_LIMIT"))
_HEADERS = {"Content-Type": "application/json", "User-Agent": "clickhouse-rerank"}
_NOTHING_BILLED = BilledUnits()


@dataclass(slots=True, eq=False)
class _Attempt:
    """One attempt to have a request answered."""

    is_hedge: bool = False
    outcome: Outcome = Outcome.CANCELLED
    sent_at: float = 0.0
    """When the request left, by the monotonic clock; 0 where it did not come to that."""
    sent: int = 0
    """How many times the request went out, or was tried to."""
    is_answered: bool = False
    """Whether a response came, whatever it says."""
    billed: BilledUnits = _NOTHING_BILLED
    scores: Scores | None = None
    is_repaired: bool = False
    """Whether the scores come from an answer in another form than was asked for."""
    error: RerankError | None = None

    def read(self, response: Response, part: Part, endpoint: Endpoint) -> None:
        """Take scores and charge from the response. Errors: RerankError."""
        self.sent, self.is_answered = response.sent, True
        wire = WIRES[endpoint.wire]
        try:
            payload = responses.payload(response, endpoint, part.call)
            self.billed = wire.billed_units(payload, response.headers)
            self.scores = wire.scores(payload, part.call)
            self.is_repaired = endpoint.writes_order and RANKING_WIRES[endpoint.wire].is_repaired(payload, part.call)
        except ProviderFailedError as error:
            if error.wait_s is None:
                error.wait_s = retry.hinted_s(response.headers, time.time())
            raise
        except MalformedError as error:
            name = endpoint.provider.name
            raise ProviderFailedError("PROTOCOL", f"The answer of {name} {error}. {error.remedy}") from None
        self.outcome = Outcome.ANSWERED

    def fail(self, error: RerankError) -> None:
        """Note the error without the frames that it came through: they hold the attempt, texts and the response."""
        self.error = error.with_traceback(None)
        error.__context__ = None
        if isinstance(error, ProviderFailedError):
            if self.sent and not self.is_answered:
                self.sent = error.sent
            if error.code == "RATE_LIMIT":
                self.outcome = Outcome.RATE_LIMITED
            else:
                self.outcome = Outcome.NOT_SENT if error.code in _NOT_SENT else Outcome.FAILED
        elif self.is_answered:
            self.outcome = Outcome.REJECTED
        else:
            self.sent = 0
            self.outcome = Outcome.NOT_SENT


@dataclass(slots=True, eq=False)
class _Request:
    """A request on its way: what is sent where, until when, and what counts it."""

    part: Part
    endpoint: Endpoint
    deadline: Deadline
    admission: EndpointAdmission
    line: UsageLine


class Client:
    """Asks endpoints for scores; learns, for each endpoint and key, how hard it may be asked.

    `transport` sends the requests; without it, one is made from the settings.
    """

    def __init__(self, settings: Settings, transport: Transport | None = None) -> None:
        self._transport = transport or HttpTransport(settings.network, settings.limits)
        self._limits = settings.limits
        self._process_counts = ProcessCounts(shared_folder(settings))
        self._admissions = EndpointAdmissions(settings.limits, self._process_counts)
        self._quotas = quotas(settings)
        self.counts = Counts()

    async def scores(self, part: Part, endpoint: Endpoint, deadline: Deadline, line: UsageLine) -> Scores:
        """The scores that the endpoint gives for a request; `line` counts what that took.

        Errors: RerankError; TIMEOUT at the deadline.
        """
        admission = self._admissions.of(endpoint.url, endpoint.key.reveal(), endpoint.host)
        ticket = admission.ticket() if deadline.ticket is None else deadline.ticket
        if endpoint.writes_order:
            deadline.ticket = ticket  # the next window of the row comes before the rows behind it
        request = _Request(part, endpoint, deadline, admission, line)
        patience = deadline.patience or Deadline(self._limits.rate_limit_wait_s)
        while True:
            async with admission.place(ticket):
                deadline.begin()
                if not (admission.allows() or await _allowed_after_probe(endpoint, deadline, admission)):
                    raise admission.withheld(endpoint.provider.name)
                for number in count(1):
                    if endpoint.options.hedge_ms is None:
                        attempt = _Attempt()
                        await self._send(request, attempt)
                    else:
                        attempt = await self._hedged(request, endpoint.options.hedge_ms / 1000, ticket)
                    if attempt.scores is not None:
                        return attempt.scores
                    pause_s = _pause_s(attempt, number, deadline, patience, admission)
                    if pause_s is None:
                        break
                    await asyncio.sleep(pause_s)
                # The endpoint has no room after all: the row waits in line again, and its time has not begun.
                deadline.restart()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()
        self._process_counts.close()

    async def _hedged(self, request: _Request, after_s: float, ticket: int) -> _Attempt:
        """Send the request, and again if there is no outcome after `after_s`.

        The hedge needs a place in flight of its own. Its ticket is older than those of the rows in line, so it gets
        the next one.
        """
        admission = request.admission

        async def hedge(attempt: _Attempt) -> None:
            with suppress(ProviderFailedError):  # nobody may wait in line: the row lives by its first sending
                async with admission.place(ticket):
                    if admission.hedges.take() and admission.allows():
                        await self._send(request, attempt)

        attempt = await hedged(_Attempt(), partial(self._send, request), _Attempt(is_hedge=True), hedge, after_s)
        if attempt.outcome is Outcome.ANSWERED:
            admission.hedges.answered()
        return attempt

    async def _send(self, request: _Request, attempt: _Attempt) -> None:
        """Send the request, as far as the quota allows it, and report what comes of it."""
        part, endpoint, deadline = request.part, request.endpoint, request.deadline
        try:
            async with asyncio.timeout(max(0.0, deadline.left_s())):
                if endpoint.credential in self._quotas:
                    self._quotas[endpoint.credential].spend(len(part.call.documents))
                if endpoint.uses_server_identity:  # a metadata service may be asked
                    headers = await asyncio.to_thread(endpoint.signed, _HEADERS, part.body)
                else:
                    headers = endpoint.signed(_HEADERS, part.body)
                attempt.sent, attempt.sent_at = 1, time.monotonic()
                request.line.begin_request(attempt.sent_at, is_hedge=attempt.is_hedge)
                self.counts.requests += 1
                attempt.read(await self._transport.post(endpoint.url, headers, part.body), part, endpoint)
        except TimeoutError:
            attempt.fail(late(endpoint, deadline))
        except RerankError as error:
            attempt.fail(error)
        finally:
            self._report(request, attempt)

    def _report(self, request: _Request, attempt: _Attempt) -> None:
        request.admission.report(attempt.outcome, attempt.sent_at, attempt.error)
        if attempt.sent_at:
            request.line.repaired += attempt.is_repaired
            request.line.end_request(
                attempt.sent,
                attempt.billed,
                is_answered=attempt.outcome is Outcome.ANSWERED,
                is_rate_limited=attempt.outcome is Outcome.RATE_LIMITED,
            )
            self.counts.requests += attempt.sent - 1
        is_missed_hedge = attempt.is_hedge and not attempt.sent_at
        self.counts.errors += attempt.error is not None and not is_missed_hedge


def _pause_s(
    attempt: _Attempt, number: int, deadline: Deadline, patience: Deadline, admission: EndpointAdmission
) -> float | None:
    """Seconds until the next attempt; None where the row is to wait in line again.

    Errors: a copy of the attempt's error, if no further attempt is useful or allowed. Not the error itself: its
    traceback would hold the frame, the frame holds the attempt, and the attempt holds the error and all texts.
    """
    error = attempt.error
    assert error is not None
    if not isinstance(error, ProviderFailedError):
        raise error.copy()
    if attempt.outcome is Outcome.RATE_LIMITED and admission.expects_answers():
        patience.begin()
        if patience.left_s() < (error.wait_s or 0.0):
            raise retry.with_wait(error, patience.left_s())
        return None
    left_s = deadline.left_s()
    pause_s = retry.pause_s(error, number, left_s, admission.allowed_attempts())
    if pause_s is None or not admission.take_retry():
        raise retry.with_wait(error, left_s)
    return pause_s


async def _allowed_after_probe(endpoint: Endpoint, deadline: Deadline, admission: EndpointAdmission) -> bool:
    """Whether the circuit breaker lets a request through after the probe under way. Errors: TIMEOUT."""
    try:
        async with asyncio.timeout(max(0.0, deadline.left_s())):
            return await admission.allows_after_probe()
    except TimeoutError:
        raise late(endpoint, deadline) from None


def late(endpoint: Endpoint, deadline: Deadline) -> ProviderFailedError:
    """The error of a request that was not answered in time."""
    seconds = round(deadline.seconds, 2) or deadline.seconds
    late = f"{endpoint.provider.name} did not answer within {seconds:g} s"
    return ProviderFailedError("TIMEOUT", f"{late}. Send less, or raise others.timeout_s.")

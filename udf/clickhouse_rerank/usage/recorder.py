"""The usage log: a line for each endpoint that a row used, which SQL can read.

A line has numbers and names, never a text or a key. A row that a fallback answered has one line for the endpoint that
failed and one for the fallback, so that each provider has its own requests and errors. A row that equals an earlier
row sends no request: it counts in the line of the earlier row.

Flow: `UsageRecorder.line` opens a line for an endpoint, and the client counts in it. `RowUsage.decide` counts the row
in the last of its lines. `UsageRecorder.repeat` counts an equal row. `write` appends the finished lines to the file.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, sleep

import orjson

from ..config.tables import UsageSettings
from ..errors import RerankError
from ..request.endpoint import Endpoint
from ..types import BilledUnits, sendable
from .jsonl_file import UsageFile

_MAX_PENDING = 500
_PENDING_S = 1.0
_RETRY_S = 0.001
_MAX_TRIES = 500
_MAX_NAME = 200


@dataclass(slots=True, eq=False)
class UsageLine:
    """What one endpoint did for a row. orjson does not write members that begin with an underscore."""

    time: str = ""
    """When it ended, in UTC."""
    provider: str = ""
    host: str = ""
    """With its port; "" for scoring in the worker."""
    model: str = ""
    credential: str = ""
    """Name of the server's credential; "" for a key from SQL or no key."""
    fallback: int = 0
    """0 for the call's own provider, 1 for the first of its fallbacks, and so on."""
    status: str = "ok"
    """ok, error or cancelled."""
    error: str = ""
    """Code of the error."""
    rows: int = 0
    """Rows with the result of this endpoint: 0 if a fallback took over, more than one if rows are equal."""
    degraded: int = 0
    """Of these, rows that on_error left without scores."""
    documents: int = 0
    """Documents to score; 0 in a line that only adds rows to a line already written."""
    cached: int = 0
    """Of these, documents whose scores were cached."""
    requests: int = 0
    """Requests that the call takes, without retries."""
    attempts: int = 0
    """Requests that were sent or failed on the way, with retries."""
    answered: int = 0
    """Of these, requests that returned scores."""
    rate_limited: int = 0
    """Of these, requests that were refused with 429."""
    hedged: int = 0
    """Of these, second sendings of a slow request: see others.hedge_ms."""
    refused: int = 0
    """Documents that a decision model refused to judge."""
    left_out: int = 0
    """Passages that others.passages.most left out: they are no documents."""
    repaired: int = 0
    """Answers of a chat model that were no clean order, and were read as far as they were one."""
    tokens: float = 0
    """Tokens that the provider says it charges."""
    search_units: float = 0
    """Search units that the provider says it charges."""
    waited_ms: float = 0
    """Time until the first request."""
    latency_ms: float = 0
    """Time from the first request, or without requests from the start, to the end, with retries and pauses."""
    _began: float = field(default_factory=monotonic)
    _first_sent: float = 0.0

    def begin_request(self, now: float, *, is_hedge: bool = False) -> None:
        """Count a request when it is sent, at `now` of the monotonic clock: the process may end before it does."""
        self.attempts += 1
        self.hedged += is_hedge
        self._first_sent = self._first_sent or now

    def sent_with(self, shared: "UsageLine") -> None:
        """Take the times of a request that several rows share, and that counts in a line of its own."""
        self._first_sent = shared._first_sent

    def end_request(self, sent: int, billed: BilledUnits, *, is_answered: bool, is_rate_limited: bool) -> None:
        """Count the result of a request that has begun; `sent` is how many times it was sent, 0 if never."""
        self.attempts += sent - 1
        self.answered += is_answered
        self.rate_limited += is_rate_limited
        self.tokens += billed.tokens
        self.search_units += billed.search_units

    def end(self) -> None:
        """Set the time of the end and the durations."""
        now = monotonic()
        first = self._first_sent or self._began
        self.time = datetime.now(UTC).isoformat(" ", "milliseconds")[:-6]
        self.waited_ms = round((first - self._began) * 1000, 1)
        self.latency_ms = round((now - first) * 1000, 1)


class RowUsage:
    """The usage of one row, and of the rows that equal it."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: UsageLine | None = None
        """The line of the endpoint that was used last."""

    def decide(self, *, degraded: bool = False) -> None:
        """Count a row in the last line, whose endpoint gave the row its result or its failure."""
        if self.last is not None:
            self.last.rows += 1
            self.last.degraded += degraded


class UsageRecorder:
    """Collects lines, and writes them in batches if a file is configured."""

    def __init__(self, recording: UsageSettings) -> None:
        self._file = UsageFile(recording) if recording.path else None
        self._open: set[UsageLine] = set()
        self._pending: dict[UsageLine, None] = {}
        """Finished lines in order; an equal row may still be counted in them."""
        self._written_at = -_PENDING_S

    def line(self, endpoint: Endpoint, fallback: int, usage: RowUsage) -> AbstractContextManager[UsageLine]:
        """A context in which an endpoint is used for a row: it gives the line to count in, and closes it at the end."""
        line = usage.last = UsageLine(fallback=fallback)
        return nullcontext(line) if self._file is None else self._recorded(line, endpoint)

    def shared_line(self, endpoint: Endpoint) -> AbstractContextManager[UsageLine]:
        """The same for a request that several rows share: it has requests and cost, and no rows and documents."""
        return self.line(endpoint, 0, RowUsage())

    @contextmanager
    def _recorded(self, line: UsageLine, endpoint: Endpoint) -> Iterator[UsageLine]:
        line.provider, line.credential = endpoint.provider.name, endpoint.credential
        line.host = endpoint.host
        line.model = sendable(endpoint.named_model)[:_MAX_NAME]
        self._open.add(line)
        try:
            yield line
        except RerankError as error:
            line.status, line.error = "error", error.code
            raise
        except BaseException:
            line.status = "cancelled"
            raise
        finally:
            self._open.remove(line)
            line.end()
            self._pending[line] = None

    def repeat(self, usage: RowUsage) -> None:
        """Count one more row that has the result of an earlier, equal row."""
        line = usage.last
        if line is None or self._file is None:
            return
        degraded = line.degraded > 0
        if line not in self._pending:  # it is written: the row needs a line that adds to it
            names = {name: getattr(line, name) for name in ("provider", "host", "model", "credential", "fallback")}
            line = usage.last = UsageLine(time=line.time, status=line.status, error=line.error, **names)
            self._pending[line] = None
        usage.decide(degraded=degraded)

    def is_due(self) -> bool:
        """Whether lines have been pending for a second, or there are many."""
        many = len(self._pending) >= _MAX_PENDING
        return bool(self._pending) and (many or monotonic() - self._written_at >= _PENDING_S)

    async def write(self) -> None:
        """Write the pending lines; drop them if another process holds the lock for half a second."""
        for _ in range(_MAX_TRIES):
            if self._try_to_write():
                return
            await asyncio.sleep(_RETRY_S)
        self._drop()

    def close(self) -> None:
        """Write before the process ends: the pending lines, and as cancelled the lines of calls that are not done."""
        for line in self._open:
            line.status, line.rows = "cancelled", int(line.documents > 0)
            line.end()
            self._pending[line] = None
        self._open.clear()
        for _ in range(_MAX_TRIES):
            if self._try_to_write():
                break
            sleep(_RETRY_S)
        if self._file is not None:
            self._file.close()

    def _try_to_write(self) -> bool:
        if not self._pending or self._file is None:
            return True
        lines = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in self._pending)
        if self._file.append(lines):
            self._clear()
            return True
        return False

    def _drop(self) -> None:
        if self._file is not None:
            self._file.rest("another process holds its lock")
        self._clear()

    def _clear(self) -> None:
        self._pending.clear()
        self._written_at = monotonic()

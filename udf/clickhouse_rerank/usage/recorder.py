"""What calls cost and how they went: a line for each endpoint that a call asked, for SQL to read.

A line has numbers and names, never a text or a key. A row that was left to a fallback has a line for who failed and one
for who answered, so that each provider's requests and errors are its own. Rows that equal another's ask nobody: they
count in its line.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from ..config.tables import UsageSettings
from ..errors import RerankError
from ..request.endpoint import Endpoint
from ..types import Billed, sendable
from .jsonl_file import UsageFile

_MOST_HELD = 500
_HELD_S = 1.0
_AGAIN_S = 0.001
_TIMES = 500
_LONGEST_NAME = 200


@dataclass(slots=True, eq=False)
class UsageLine:
    """What is known of one endpoint's part in a call; members that begin with _ are not written."""

    time: str = ""
    """When it ended, in UTC."""
    provider: str = ""
    host: str = ""
    """With its port; "" for scoring in the worker."""
    model: str = ""
    credential: str = ""
    """Name of the server's; "" for a key from SQL or none."""
    fallback: int = 0
    """0 for the call's own provider, 1 for the first of its fallbacks, and so on."""
    status: str = "ok"
    """ok, error or cancelled."""
    error: str = ""
    """Code of the error."""
    rows: int = 0
    """Rows that it decided; 0 where it left the row to a fallback, more than one where rows are equal."""
    degraded: int = 0
    """Of these, rows that on_error gave no scores."""
    documents: int = 0
    """That the call has to have scored; 0 in a line that only adds rows to one already written."""
    cached: int = 0
    """Of these, how many had known scores."""
    requests: int = 0
    """That the call takes, without repetitions."""
    attempts: int = 0
    """Requests that were sent, or tried to be, repetitions included."""
    answered: int = 0
    """Of these, how many gave scores."""
    rate_limited: int = 0
    """Of these, how many were refused as too many."""
    tokens: float = 0
    """That the provider says it charges."""
    search_units: float = 0
    """That the provider says it charges."""
    waited_ms: float = 0
    """Before the first request."""
    latency_ms: float = 0
    """From the first request, or without one from the beginning, to the end; repetitions and pauses included."""
    _began: float = 0.0
    _asked: float = 0.0
    _is_held: bool = False

    def begin_request(self, now: float) -> None:
        """A request leaves, at `now` of the monotonic clock: it counts at once, since the process may end before it."""
        self.attempts += 1
        self._asked = self._asked or now

    def end_request(self, sent: int, billed: Billed, *, is_answered: bool, is_rate_limited: bool) -> None:
        """Count what came of a request that has begun; `sent` is how many times it went out, 0 for not at all."""
        self.attempts += sent - 1
        self.answered += is_answered
        self.rate_limited += is_rate_limited
        self.tokens += billed.tokens
        self.search_units += billed.search_units

    def end(self) -> None:
        """Note the time."""
        now = time.monotonic()
        first = self._asked or self._began
        self.time = datetime.now(UTC).isoformat(" ", "milliseconds")[:-6]
        self.waited_ms = round((first - self._began) * 1000, 1)
        self.latency_ms = round((now - first) * 1000, 1)


class RowUsage:
    """The lines of one row, and of the rows that equal it."""

    def __init__(self) -> None:
        self.last: UsageLine | None = None

    def decided(self, *, degraded: bool = False) -> None:
        """The endpoint asked last is who decided the row."""
        if self.last is not None:
            self.last.rows += 1
            self.last.degraded += degraded


class Usage:
    """Collects lines, and writes them in batches where there is a file to write them to."""

    def __init__(self, recording: UsageSettings) -> None:
        self._file = UsageFile(recording) if recording.path else None
        self._open: set[UsageLine] = set()
        self._held: list[UsageLine] = []
        self._written_at = -_HELD_S

    def asking(self, endpoint: Endpoint, fallback: int, account: RowUsage) -> AbstractContextManager[UsageLine]:
        """While an endpoint is asked: the line that what it does is counted in."""
        line = account.last = UsageLine(fallback=fallback, _began=time.monotonic())
        return nullcontext(line) if self._file is None else self._kept(line, endpoint)

    @contextmanager
    def _kept(self, line: UsageLine, endpoint: Endpoint) -> Iterator[UsageLine]:
        line.provider, line.credential = endpoint.provider.name, endpoint.credential
        line.host = endpoint.host
        line.model = sendable(endpoint.named_model)[:_LONGEST_NAME]
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
            self._hold(line)

    def repeated(self, account: RowUsage) -> None:
        """One more row had the answer of an account's."""
        line = account.last
        if line is None or self._file is None:
            return
        degraded = line.degraded > 0
        if not line._is_held:
            names = {name: getattr(line, name) for name in ("provider", "host", "model", "credential", "fallback")}
            line = account.last = UsageLine(time=line.time, status=line.status, error=line.error, **names)
            self._hold(line)
        account.decided(degraded=degraded)

    def is_due(self) -> bool:
        """Whether lines have waited for long, or many do."""
        many = len(self._held) >= _MOST_HELD
        return bool(self._held) and (many or time.monotonic() - self._written_at >= _HELD_S)

    async def write(self) -> None:
        """Write the lines held."""
        for _ in range(_TIMES):
            if self._written():
                return
            await asyncio.sleep(_AGAIN_S)
        self._lose()

    def close(self) -> None:
        """`write`, before the process ends, also the lines of calls that nobody waits for any more."""
        for line in self._open:
            line.status, line.rows = "cancelled", 1
            line.end()
            self._held.append(line)
        self._open.clear()
        for _ in range(_TIMES):
            if self._written():
                break
            time.sleep(_AGAIN_S)
        if self._file is not None:
            self._file.close()

    def _hold(self, line: UsageLine) -> None:
        line._is_held = True
        self._held.append(line)

    def _written(self) -> bool:
        if not self._held or self._file is None:
            return True
        lines = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in self._held)
        if self._file.append(lines):
            self._let_go()
            return True
        return False

    def _lose(self) -> None:
        if self._file is not None:
            self._file.rest("it is locked by another process")
        self._let_go()

    def _let_go(self) -> None:
        for line in self._held:
            line._is_held = False
        self._held.clear()
        self._written_at = time.monotonic()

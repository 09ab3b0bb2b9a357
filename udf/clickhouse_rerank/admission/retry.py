"""The retry policy: whether and when to send a request again. Pure: failure, attempt, time left -> seconds, or stop.

The wait is what the provider names. Where it names none, it is exponential backoff with full jitter, so that rows that
failed together do not come back together. A wait that does not fit into the row's deadline is not begun.
"""

import math
import random
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from ..errors import ProviderFailedError

ATTEMPTS = 3
"""The most attempts for one request. A second sending by the transport after a kept connection died does not count."""

ATTEMPTS_OF_HEALTHY = 6
"""The same for an endpoint that answers nearly all: with one fault in a hundred, some of 100,000 rows meet three."""

_BASE_S = 0.25
_MAX_BACKOFF_S = 8.0
_SECONDS = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,9})?")
_DURATION = re.compile(
    r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m(?!s))?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)ms)?"
)
_RESET = "x-ratelimit-reset-"
_RATE_LIMIT_WINDOW = re.compile(r"\bt=([0-9]{1,10})\b")


def backoff_s(attempt: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after the failed attempt with this number (from 1)."""
    return uniform(0.0, min(_MAX_BACKOFF_S, _BASE_S * 2.0**attempt))


def pause_s(
    failure: ProviderFailedError,
    attempt: int,
    left_s: float,
    max_attempts: int = ATTEMPTS,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float | None:
    """Seconds to wait before the next attempt, or None to stop.

    `attempt` is the number of the one that failed, from 1; `left_s` is what the deadline leaves.
    """
    if not failure.retryable or attempt >= max_attempts:
        return None
    wait_s = backoff_s(attempt, uniform) if failure.wait_s is None else failure.wait_s
    return wait_s if wait_s < left_s else None


def with_wait(error: ProviderFailedError, left_s: float) -> ProviderFailedError:
    """A copy of the error, with the provider's wait in its message where that is longer than the row may take."""
    if error.wait_s is None or error.wait_s < left_s:
        return error.copy()
    asks = f"It asks to wait {error.wait_s:.0f} s, longer than the row may take."
    return ProviderFailedError(error.code, f"{error.message} {asks}", retryable=error.retryable, wait_s=error.wait_s)


def hinted_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds until the provider wants to be asked again; None where it does not say.

    `headers` are those of its response, by lower-case name. `now_s` is Unix time, for a date in a response that has no
    date of its own. Garbage and negative values count as nothing.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    after = headers.get("retry-after")
    if after is not None:
        seconds = _seconds(after)
        if seconds is None:
            seconds = _until(_date(after), _date(headers.get("date")) or now_s)
        if seconds is not None:
            return seconds
    reset = _seconds(headers.get("x-ratelimit-reset"))
    if reset is not None:
        # A small number counts seconds from now, a large one is Unix time.
        return reset if reset < 86_400 * 365 else _until(reset, now_s)
    window = _RATE_LIMIT_WINDOW.search(headers.get("ratelimit", ""))
    return float(window[1]) if window else _until_refilled(headers)


def _until_refilled(headers: Mapping[str, str]) -> float | None:
    """Seconds until all allowances that are used up are full again, as `x-ratelimit-reset-requests: 6m0s` says it.

    APIs of chat completions count requests and tokens. Those of which some remain do not matter.
    """
    names = [name.removeprefix(_RESET) for name in headers if name.startswith(_RESET)]
    used_up = [name for name in names if headers.get(f"x-ratelimit-remaining-{name}") == "0"]
    waits = [_duration(headers[_RESET + name]) for name in used_up]
    return max((wait for wait in waits if wait is not None), default=None)


def _duration(text: str) -> float | None:
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(number or 0) for number in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _seconds(text: str | None) -> float | None:
    found = text.strip() if text is not None else ""
    return float(found) if _SECONDS.fullmatch(found) else None


def _date(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text.strip()).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def _until(then_s: float | None, now_s: float) -> float | None:
    if then_s is None or not math.isfinite(then_s):
        return None
    return max(0.0, then_s - now_s)

"""When to try again: arithmetic with no clock and no network."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clickhouse_rerank.admission import retry
from clickhouse_rerank.errors import ProviderFailedError

NOW_S = 1_795_000_000.0
RESETS = ("x-ratelimit-reset", "x-ratelimit-reset-tokens", "x-ratelimit-reset-requests")
USED_UP = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "0"}
HINTS = [
    ({}, None),
    ({"retry-after-ms": "1500"}, 1.5),
    ({"retry-after": "2"}, 2.0),
    ({"retry-after": " 2.5 "}, 2.5),
    ({"retry-after-ms": "100", "retry-after": "9"}, 0.1),
    ({"retry-after": "Wed, 18 Nov 2026 10:00:05 GMT", "date": "Wed, 18 Nov 2026 10:00:00 GMT"}, 5.0),
    ({"retry-after": "Wed, 18 Nov 2026 09:00:00 GMT", "date": "Wed, 18 Nov 2026 10:00:00 GMT"}, 0.0),
    ({"retry-after": "-3"}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "1" * 400}, None),
    ({"retry-after": "1000000000"}, 1e9),
    ({"retry-after": "soon", "x-ratelimit-reset": "7"}, 7.0),
    ({"x-ratelimit-reset": str(int(NOW_S) + 12)}, 12.0),
    ({"x-ratelimit-reset": str(int(NOW_S) - 12)}, 0.0),
    ({"ratelimit": '"api";r=0;t=56'}, 56.0),
    ({"ratelimit": '"api";r=0'}, None),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0.5s"}, 360.5),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "12ms"}, 0.012),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3s"}, 3723.0),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, None),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": ""}, None),
    ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "9s"}, None),
    ({**USED_UP, "x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "2s"}, 2.0),
    ({"retry-after": "3", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9s"}, 3.0),
]


@pytest.mark.parametrize(("headers", "seconds"), HINTS)
def test_f10_what_the_headers_say(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds, seconds, dates and reset times are understood; garbage is nothing."""
    assert retry.hinted_s(headers, NOW_S) == seconds


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example({"retry-after": "0\x1f"})
@given(
    st.dictionaries(
        st.sampled_from(("retry-after-ms", "retry-after", "date", "ratelimit", *RESETS)),
        st.text() | st.from_regex(r"[0-9]{1,12}(?:h|m|s|ms)", fullmatch=True),
    )
)
def test_f10_no_header_breaks_the_arithmetic(headers: dict[str, str]) -> None:
    """Any text gives a finite wait of zero or more, or nothing."""
    seconds = retry.hinted_s({**USED_UP, **headers}, NOW_S)
    assert seconds is None or 0 <= seconds < float("inf")


def failure(*, retryable: bool = True, wait_s: float | None = None) -> ProviderFailedError:
    return ProviderFailedError("PROVIDER", "x", retryable=retryable, wait_s=wait_s)


def test_a_final_failure_and_a_third_attempt_stop() -> None:
    """Nothing is tried again that is not retryable, nor a fourth time."""
    assert retry.pause_s(failure(retryable=False), 1, 30.0) is None
    assert retry.pause_s(failure(), retry.ATTEMPTS, 30.0) is None


def test_a_hint_that_does_not_fit_stops_at_once() -> None:
    """A wait as long as what is left is not begun; a shorter one is kept to the letter."""
    assert retry.pause_s(failure(wait_s=2.0), 1, 30.0) == 2.0
    assert retry.pause_s(failure(wait_s=30.0), 1, 30.0) is None
    assert retry.pause_s(failure(), 1, 0.0) is None


@given(st.integers(1, 40))
def test_f8_backoff_is_full_jitter_below_a_doubling_cap(attempt: int) -> None:
    """The wait is drawn between nothing and min(8, 0.25 x 2^n) seconds."""
    drawn: list[tuple[float, float]] = []
    retry.backoff_s(attempt, lambda low, high: drawn.append((low, high)) or 0.0)
    assert drawn == [(0.0, min(8.0, 0.25 * 2**attempt))]

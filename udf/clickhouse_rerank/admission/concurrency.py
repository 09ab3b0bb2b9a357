"""How many requests may be in flight to one endpoint: additive increase, multiplicative decrease, a pause after 429.

A round is the set of requests that were in flight together. Of the 429s of a round the first one counts: the others
were sent before it came, so they say nothing new.

state    requests in flight       event                 next     what happens
OPEN     limit, or the share      answered              OPEN     limit + 1/2, up to the maximum
                                  failed                OPEN     -
                                  429 of a new round    LIMITED  limit / 2, if a request was answered since the last 429
LIMITED  limit, or the share      answered              OPEN     limit + 1/2
                                  failed                OPEN     -
                                  429 of a new round    SINGLE   as above
SINGLE   1                        answered              OPEN     limit + 1/2
                                  failed                OPEN     -
                                  429 of a new round    SINGLE   as above
any                               429 of the same round same     -

Each 429 also pauses the endpoint:

state    may enter   event                 next     what happens
RUNNING  yes         429                   PAUSED   until now + wait
PAUSED   no          429 that ends later   PAUSED   until that end
                     the end               RUNNING  -

The wait is what the endpoint names, at most 60 s. Where it names none, it is 25 ms, doubled in each round up to 1 s.
"""

import math
import time
from collections.abc import Callable

from .process_count import ProcessCount

_GROWTH = 1 / 2  # makes good a stray 429 in a hundred requests before the next one comes
_FIRST_GUESS_S = 0.025
_MAX_GUESS_S = 1.0
_MAX_PAUSE_S = 60.0
_HOPELESS_ROUNDS = 6
_ANSWERS_HOLD_S = 150.0


class AdaptiveConcurrency:
    """The limit of requests in flight, learned from the endpoint's own answers.

    `max_in_flight` is for all processes that ask the same host: each takes its share by `process_count`.
    """

    def __init__(
        self,
        max_in_flight: int,
        process_count: ProcessCount,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max = float(max_in_flight)
        self._limit = float(max_in_flight)
        self._process_count = process_count
        self._clock = clock
        self._rounds = 0
        """Rounds of 429 since an answer or another failure: 0 is OPEN, 1 is LIMITED, more is SINGLE."""
        self._rate_limited_at = -math.inf
        self._answered_at = -_ANSWERS_HOLD_S
        self._paused_until = -1.0

    @property
    def limit(self) -> int:
        """Requests that may be in flight at present, at least one."""
        if self._rounds > 1:
            return 1  # until one is answered, more would only get a 429 too
        return max(1, min(int(self._limit), int(self._max) // self._process_count.count()))

    def has_room(self, in_flight: int) -> bool:
        """Whether one more may be sent now."""
        return in_flight < self.limit and (self._paused_until < 0 or self._clock() >= self._paused_until)

    def answered(self) -> None:
        """A request was answered or rejected: the endpoint works."""
        self._rounds = 0
        self._answered_at = self._clock()
        self._limit = min(self._max, self._limit + _GROWTH)

    def failed(self) -> None:
        """A request failed: that is no matter of how many there are."""
        self._rounds = 0

    def rate_limited(self, sent_at: float, wait_s: float | None) -> float:
        """A request that was sent at `sent_at` of the clock got a 429; `wait_s` is the wait that it names, if any.

        Returns the wait in seconds: the named one, or a guess.
        """
        if sent_at > self._rate_limited_at:
            if self._answered_at >= self._rate_limited_at:  # else nothing says that fewer at a time would help
                self._limit = max(1.0, self._limit / 2)
            self._rate_limited_at = self._clock()
            self._rounds += 1
        return min(_MAX_GUESS_S, _FIRST_GUESS_S * 2.0 ** (self._rounds - 1)) if wait_s is None else wait_s

    def pause(self, wait_s: float) -> tuple[float, float] | None:
        """Let nothing be sent for `wait_s`.

        Returns (seconds, end): call `resume(end)` after so many seconds. None where a pause ends later anyway.
        """
        seconds = min(wait_s, _MAX_PAUSE_S)
        end = self._clock() + seconds
        if end <= self._paused_until:
            return None
        self._paused_until = end
        return seconds, end

    def resume(self, end: float) -> bool:
        """End the pause that was to last until `end`; False where a longer one has replaced it.

        The clock is not asked, because a timer may fire a tick early.
        """
        if self._paused_until != end:
            return False
        self._paused_until = -1.0
        return True

    def has_answered_lately(self) -> bool:
        """Whether a request was answered in the last 150 s."""
        return self._clock() - self._answered_at < _ANSWERS_HOLD_S

    def is_hopeless(self) -> bool:
        """Whether the endpoint answers 429 round after round and has answered nothing else for long."""
        return self._rounds >= _HOPELESS_ROUNDS and not self.has_answered_lately()

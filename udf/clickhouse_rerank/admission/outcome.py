"""What came of one attempt to send a request. Each attempt has one outcome, and it is reported once."""

from enum import Enum


class Outcome(Enum):
    """What an attempt tells about its endpoint.

    outcome       concurrency   circuit breaker      retry budget
    ANSWERED      may grow      asked and accepted   refilled
    REJECTED      may grow      asked and accepted   refilled
    RATE_LIMITED  halves        neither              -
    FAILED        -             asked                -
    NOT_SENT      -             neither              -
    CANCELLED     -             neither              -
    """

    ANSWERED = "answered"
    """With scores."""
    REJECTED = "rejected"
    """The endpoint works, and refuses this request or its key."""
    RATE_LIMITED = "rate limited"
    """Status 429."""
    FAILED = "failed"
    """The endpoint, or the way to it, failed; or it did not answer in time."""
    NOT_SENT = "not sent"
    """This side did not send it: a blocked address, a spent quota, no free descriptor."""
    CANCELLED = "cancelled"
    """Nobody waits for it any more."""

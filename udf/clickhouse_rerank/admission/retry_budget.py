"""How many retries all calls to one endpoint may make together, so that an outage does not multiply requests.

balance     event      next
5 and more  take       5 less: the retry is sent
below 5     take       the same: no retry
any         answered   1 more, up to 100

A full budget pays for 20 retries; then five answers pay for one.
"""

_FULL = 100.0
_PER_RETRY = 5.0
_PER_ANSWER = 1.0


class RetryBudget:
    """Retries are paid from it, and only answers refill it."""

    def __init__(self) -> None:
        self._balance = _FULL

    def take(self) -> bool:
        """Pay for one retry; False where the balance does not suffice."""
        if self._balance < _PER_RETRY:
            return False
        self._balance -= _PER_RETRY
        return True

    def answered(self) -> None:
        """The endpoint answered a request."""
        self._balance = min(_FULL, self._balance + _PER_ANSWER)

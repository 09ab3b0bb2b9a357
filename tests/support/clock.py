"""A clock that a test moves."""


class Clock:
    """Says what the test has set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

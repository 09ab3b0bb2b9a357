"""What an error response means, as data: the meanings, and the form of the rules that a provider adds."""

from dataclasses import dataclass
from typing import NamedTuple

from ..errors import CallerError, ProviderFailedError, RequestRejectedError


class Meaning(NamedTuple):
    """The error that a response means."""

    error: type[CallerError] | type[RequestRejectedError] | type[ProviderFailedError]
    """The class of the error, which says what happens next."""
    code: str
    """Key of errors.CODES."""
    remedy: str
    """Sentence that says what to change; {key} is replaced by the source of the key."""
    retryable: bool = False
    """Whether another attempt may succeed; for a ProviderFailedError only."""


WRONG_KEY = Meaning(CallerError, "AUTH", "Check {key}.")
WRONG_PLACE = Meaning(CallerError, "NOT_FOUND", "Check base_url and the model.")
NO_CREDIT = Meaning(ProviderFailedError, "QUOTA", "The account needs credit.")
LOADING = Meaning(ProviderFailedError, "LOADING", "Try again when the model is loaded.", retryable=True)
TOO_LARGE = Meaning(RequestRejectedError, "TOO_LARGE", "Send fewer or shorter documents.")
RATE_LIMITED = Meaning(
    ProviderFailedError, "RATE_LIMIT", "Send fewer requests at a time, or ask for a higher limit.", retryable=True
)

NAME_MEMBERS = ("code", "type", "error_code")
"""Members in which most APIs put a machine-readable name of an error."""


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """Error responses of one provider that mean something else than their status says.

    A rule applies where all of its conditions hold; the first rule that applies decides.
    """

    meaning: Meaning
    statuses: tuple[int, ...] = ()
    """HTTP statuses; () for all except 200 and redirects."""
    words: str = ""
    """Regular expression that is found in the sentence of the error, upper and lower case alike."""
    name: str = ""
    """Regular expression that is found in a machine-readable name of the error."""
    name_members: tuple[str, ...] = NAME_MEMBERS
    """Members that hold the name, in the body or in its member `error`."""
    name_header: str = ""
    """Header that holds the name, in lower case; "" for none."""
    wait_member: str = ""
    """Member of the body that must be there, with the seconds until another attempt makes sense; "" for none."""


@dataclass(frozen=True, slots=True)
class InnerStatus:
    """A response whose body holds the status of the server behind the provider: that status decides the meaning."""

    status: int
    """HTTP status of the response."""
    member: str
    """Member of the body with the other server's status."""
    counted: frozenset[int]
    """Statuses of the other server that decide. With any other, the response means what its own status says."""

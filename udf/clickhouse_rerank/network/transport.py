"""The contract between the client and what carries its requests. The implementation of a worker is `http`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Response:
    """A provider's HTTP response, its body complete.

    The body of a status of 300 and above may be cut off after 64 KiB; where it is compressed, it is empty.
    """

    status: int
    headers: Mapping[str, str]
    """Lower-case name -> value, the first where a header is repeated."""
    body: bytes
    sent: int = 1
    """How often the request was sent: 2 where a kept connection died before the first byte of a response."""


class Transport(Protocol):
    """Carries requests to providers. Calls of one worker share its connections.

    The caller holds the deadline and cancels the task at its end: `post` then gives up at once, and its connection is
    not used again. A transport follows no redirect, asks for no compression, sends no header of its own accord that
    identifies the caller, and retries nothing, with one exception: a request that went out on a kept connection which
    the server closed before the first byte of a response is sent once more on another connection.
    """

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send one request. `url` is as `parse_url` accepts it.

        Before anything is sent, the SSRF guard checks the host as written, and each address in the moment when a
        connection to it is opened: the address that was checked is the address that is connected to. Behind a proxy,
        which looks names up itself, only the host as written is checked.

        Errors: CallerError BLOCKED, BAD_URL, CONFIG; ProviderFailedError DNS, CONNECT, TLS, PROTOCOL, RESOURCE with
        `sent` as of a response. They carry neither text nor exception of an HTTP library, which hold keys.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...

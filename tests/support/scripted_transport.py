"""A transport that a test scripts: no socket, no look-up; what was to be sent is kept."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping

from clickhouse_rerank.network.transport import Response

Script = Callable[[str], Response | Awaitable[Response]]
"""URL of a request -> its response, at once or later; raises what a transport raises."""


class ScriptedTransport:
    """`script` answers each request; `requests` are the (URL, headers, body) of all that were sent."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[tuple[str, Mapping[str, str], bytes]] = []
        self.is_closed = False

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.requests.append((url, headers, body))
        response = self.script(url)
        return await response if inspect.isawaitable(response) else response

    async def aclose(self) -> None:
        self.is_closed = True

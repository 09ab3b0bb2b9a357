"""Names that answer as a test says: takes the place of the system's look-up, so that nothing is looked up."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Awaitable, Callable, Sequence

import pytest

from clickhouse_rerank.network import name_lookup

Lookup = Callable[[str], Sequence[str] | Awaitable[Sequence[str]]]
"""Name -> its addresses, at once or later; raises what a resolver raises."""


class Names:
    """`lookup` answers each name from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lookup: Lookup | None = None) -> None:
        self.lookup: Lookup = lookup or no_such_name
        monkeypatch.setattr(name_lookup, "system_addresses", self._addresses)

    async def _addresses(self, host: str) -> Sequence[str]:
        found = self.lookup(host)
        return await found if inspect.isawaitable(found) else found


def no_such_name(_: str) -> Sequence[str]:
    raise socket.gaierror(socket.EAI_NONAME, "no such name")

"""Names that answer as a test says: takes the place of the system's look-up, so that nothing is looked up."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

Lookup = Callable[[str], Sequence[str] | Awaitable[Sequence[str]]]
"""Name -> its addresses, at once or later; raises what a resolver raises."""


class Names:
    """`lookup` answers each name from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lookup: Lookup | None = None) -> None:
        self.lookup: Lookup = lookup or no_such_name
        monkeypatch.setattr(aiohttp, "ThreadedResolver", lambda: _Resolver(self))


def no_such_name(_: str) -> Sequence[str]:
    raise socket.gaierror(socket.EAI_NONAME, "no such name")


class _Resolver(AbstractResolver):
    def __init__(self, names: Names) -> None:
        self._names = names

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[Any]:
        found = self._names.lookup(host)
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in (await found if inspect.isawaitable(found) else found)
        ]

    async def close(self) -> None:
        pass

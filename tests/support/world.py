"""A made-up network: names answer as a test says, every look-up and every connection is noted, and none leaves."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

Answer = Sequence[str] | Callable[[], Sequence[str]]


class World:
    """Refuses every connection, but for addresses that a test gives a door: a port on loopback behind them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, Answer] = {}
        self.otherwise: Answer | None = None
        """What every other name answers; None: there is no such name."""
        self.doors: dict[str, int] = {}
        self.looked_up: list[str] = []
        self.dialled: list[str] = []
        connect = socket.socket.connect

        def noting(opened: socket.socket, address: Any) -> None:
            if opened.family == socket.AF_UNIX:
                connect(opened, address)
                return
            self.dialled.append(address[0])
            if address[0] not in self.doors:
                raise ConnectionRefusedError
            connect(opened, ("127.0.0.1", self.doors[address[0]]))

        def no_system(host: object, *_: object, **__: object) -> None:
            raise AssertionError(f"the system was asked for {host!r}")

        monkeypatch.setattr(socket.socket, "connect", noting)
        monkeypatch.setattr(socket.socket, "connect_ex", no_system)
        monkeypatch.setattr(socket, "getaddrinfo", no_system)
        monkeypatch.setattr(aiohttp, "ThreadedResolver", lambda: _Names(self))

    def answer(self, host: str) -> Sequence[str]:
        self.looked_up.append(host)
        found = self.names.get(host, self.otherwise)
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return found() if callable(found) else found


class _Names(AbstractResolver):
    def __init__(self, world: World) -> None:
        self._world = world

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[Any]:
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in self._world.answer(host)
        ]

    async def close(self) -> None:
        pass

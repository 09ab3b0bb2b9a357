"""A made-up network: names answer as a test says, every look-up and every connection is noted, and none leaves."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from names import Names, no_such_name

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
        Names(monkeypatch, self.answer)

    def answer(self, host: str) -> Sequence[str]:
        self.looked_up.append(host)
        found = self.names.get(host, self.otherwise)
        if found is None:
            return no_such_name(host)
        return found() if callable(found) else found

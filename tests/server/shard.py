"""A shard that only listens: it says over ClickHouse's own protocol who it is, notes what it is asked, and refuses it.

So that what an initiator sends to shards is seen without a second server.
"""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass
from enum import IntEnum

_REVISION = 54200
"""Of the protocol: recent engines speak to servers this old, and spare them what came later."""
_QUERY, _PING = 1, 4
_HELLO, _EXCEPTION, _PONG = 0, 2, 4


class Stage(IntEnum):
    """How far a shard is to take a query."""

    FETCH_COLUMNS = 0
    WITH_MERGEABLE_STATE = 1
    COMPLETE = 2
    AFTER_AGGREGATION = 3
    AFTER_AGGREGATION_AND_LIMIT = 4


@dataclass(frozen=True)
class Asked:
    """A query as it came to a shard."""

    sql: str
    stage: Stage


class Shards:
    """Shards on 127.0.0.2 and 127.0.0.3, which no engine takes for itself; `asked` is what came to them."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._both = threading.Barrier(2, timeout=20)
        self._listeners: list[socket.socket] = []
        self.port = 0
        for host in ("127.0.0.2", "127.0.0.3"):
            listener = socket.create_server((host, self.port))
            self.port = listener.getsockname()[1]
            self._listeners.append(listener)
            threading.Thread(target=self._listen, args=(listener,), daemon=True).start()

    @property
    def addresses(self) -> str:
        """As the table function `remote` takes them."""
        return ",".join("{}:{}".format(*listener.getsockname()) for listener in self._listeners)

    def close(self) -> None:
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(20)
            connection.recv(1 << 16)
            connection.sendall(
                bytes([_HELLO]) + _string("shard") + _number(20) + _number(1) + _number(_REVISION) + _string("UTC")
            )
            came = b""
            while piece := connection.recv(1 << 16):
                came += piece
                if came[0] == _PING:
                    connection.sendall(bytes([_PONG]))
                    came = came[1:]
                if came and came[0] == _QUERY and (asked := _query(came)):
                    self.asked.append(asked)
                    # Neither refuses before both were asked, or what comes to the second would be late for its test.
                    self._both.wait()
                    name, message, trace = _string("DB::Exception"), _string("this shard only listens"), _string("")
                    connection.sendall(bytes([_EXCEPTION]) + struct.pack("<i", 1000) + name + message + trace + b"\0")
                    return


def _query(packet: bytes) -> Asked | None:
    """The query of a packet: what stands behind its stage, compression and length; None while it is not all there."""
    at = packet.find(b"SELECT ")
    if at < 0:
        return None
    size = 2 if packet[at - 2] & 0x80 else 1
    length = packet[at - 1] if size == 1 else (packet[at - 2] & 0x7F) | packet[at - 1] << 7
    if len(packet) < at + length:
        return None
    return Asked(packet[at : at + length].decode(), Stage(packet[at - size - 2]))


def _number(value: int) -> bytes:
    """As the protocol writes numbers: seven bits a byte, the lowest first."""
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _string(text: str) -> bytes:
    return _number(len(text.encode())) + text.encode()

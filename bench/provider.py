"""The provider's process, from outside: start it, name its URLs, ask what it saw."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any


def stats(port: int) -> dict[str, Any]:
    """What happened at the provider on this port since the last time; its own connection counts."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /stats HTTP/1.1\r\nHost: provider\r\n\r\n")
        return json.loads(sock.recv(1 << 16).partition(b"\r\n\r\n")[2])


class Provider:
    """The process, from outside."""

    def __init__(self) -> None:
        root = Path(__file__).parents[1]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.provider_server"], cwd=root, stdout=subprocess.PIPE, stdin=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def url(self, latency_ms: int | str, items: int, status: int = 200) -> str:
        """Where a client's base URL begins, for answers like this."""
        return f"http://127.0.0.1:{self.port}/{latency_ms}/{items}/{status}"

    def stats(self) -> dict[str, Any]:
        """What happened since the last time."""
        return stats(self.port)

    def __enter__(self) -> "Provider":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

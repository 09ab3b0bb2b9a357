"""A worker over pipes, as the engine holds it: the real launcher, or the one with the network taken out."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from clickhouse_rerank.commands.install import artifacts

from . import processes, sql

_ROOT = Path(__file__).parents[1]


class Worker:
    """One process; reads answers as bytes."""

    def __init__(self, format_name: str, stubbed: bool = False, max_in_flight: int = 64) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rerank-bench-")
        folder = Path(self._folder.name)
        for file in artifacts.plan(folder, folder):
            artifacts.write(file)
        command = [sys.executable, "-m", "bench.stubbed_worker"] if stubbed else [str(folder / artifacts.LAUNCHER)]
        environment = dict(os.environ)
        environment["CLICKHOUSE_RERANK_CONFIG"] = sql.configuration(max_in_flight, self._folder.name)
        self.spawned_at = time.monotonic()
        self.process = subprocess.Popen(
            [*command, "--embedded", "--format", format_name],
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def answers(self, rows: Sequence[bytes], expected_bytes: int) -> None:
        """Send a chunk and read until that many bytes of answers have come."""
        writer = threading.Thread(target=self.send, args=(rows,))
        writer.start()
        assert self.process.stdout is not None
        while expected_bytes > 0:
            piece = os.read(self.process.stdout.fileno(), 1 << 20)
            if not piece:
                raise RuntimeError("the worker ended early")
            expected_bytes -= len(piece)
        writer.join()
        if expected_bytes:
            raise RuntimeError(f"the worker answered {-expected_bytes} bytes too many")

    def send(self, rows: Sequence[bytes]) -> None:
        """Send a chunk."""
        assert self.process.stdin is not None
        data = memoryview(b"%d\n" % len(rows) + b"".join(rows))
        while data:
            data = data[self.process.stdin.write(data) :]

    def cpu_s(self) -> float:
        """Seconds on a processor so far."""
        return processes.cpu_s(self.process.pid)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self._folder.cleanup()

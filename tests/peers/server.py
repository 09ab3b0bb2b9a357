"""Starts a server in a process group of its own, waits until it answers, and always ends all of the group."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .environment import FOLDER

_START_S = 120
_END_S = 15


class NotStartedError(Exception):
    """A server that is installed but does not come up."""


def free_port() -> int:
    """A loopback port that nobody listens on now; below 32,767, beyond which multi-model-server sees no port."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise NotStartedError("no free port")


@contextlib.contextmanager
def running(name: str, command: Sequence[object], healthy: str, **variables: str) -> Iterator[None]:
    """Run `command` until the block ends; `healthy` is a URL that answers 200 once it serves."""
    log = FOLDER / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    home = FOLDER / "home" / name
    home.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home,
            env=_variables({"HOME": str(home), **variables}),
            start_new_session=True,
        )
    try:
        _wait(name, process, healthy, log)
        yield
    finally:
        _end(process)


def _variables(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what could reach a network or lend a key."""
    hidden = ("_API_KEY", "_TOKEN", "AWS_", "CLICKHOUSE_RERANK", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not any(part in name for part in hidden)}
    return {**kept, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", **more}


def _wait(name: str, process: subprocess.Popen[bytes], healthy: str, log: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise NotStartedError(f"{name} ended with code {process.returncode} (log: {log})")
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(healthy, timeout=5):
            return
        time.sleep(0.2)
    raise NotStartedError(f"{name} did not answer within {_START_S} s (log: {log})")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the whole group to end, then make it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        until = time.monotonic() + _END_S
        while time.monotonic() < until:
            process.poll()
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)

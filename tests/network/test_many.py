"""Many hosts and many large bodies at a time: what they cost the worker is bounded, and nothing stays."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import engine_bytes
from asking import row
from clickhouse_rerank.types import Row
from conftest import Worker
from provider import Provider, Reply, Request, cohere

Start = Callable[..., Worker]
MIB = 1 << 20
HOSTS = 10_000
MAX_DESCRIPTORS = 512 + 256 + 50
"""Kept connections, rows of a worker under way, and the process's own."""
MAX_COUNTERS = 16
"""Files in which processes count together that a worker holds open."""
GONE_S = 20.0
"""Kept connections are closed after 8 seconds at most."""


def chunk(rows: list[Row]) -> bytes:
    return engine_bytes.chunk(rows, "JSONEachRow")


def descriptors(pid: int) -> Counter[str]:
    """What a process has open, by kind."""
    kinds: Counter[str] = Counter()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            kinds["socket" if str(descriptor.readlink()).startswith("socket:") else "other"] += 1
    return kinds


def status(pid: int, name: str) -> int:
    """A figure of /proc/PID/status: kilobytes, or a count."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields[name].split()[0])


@pytest.fixture
def everywhere() -> Iterator[Provider]:
    """A provider on every address of loopback, and on no other interface."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        listener.bind(("0.0.0.0", 0))
    except (OSError, AttributeError) as error:
        listener.close()
        pytest.skip(f"no socket can be bound to the loopback device here: {error}")
    provider = Provider(listener=listener)
    yield provider
    provider.close()


def test_ten_thousand_hosts_leave_nothing_behind(worker: Start, everywhere: Provider) -> None:
    """One query asks each of them once: its descriptors and threads are few while it runs, and gone after it."""
    one = worker("--embedded")
    pid = one.process.pid
    hosts = [f"http://127.{number >> 8}.{number & 255}.1:{everywhere.port}" for number in range(HOSTS)]
    one.send(chunk([row(hosts[0], query="warm")]))
    one.lines(1)
    before = descriptors(pid)
    seen: list[tuple[int, int]] = []

    def script(request: Request) -> Reply:
        if request.number % 100 == 0:
            seen.append((descriptors(pid).total(), status(pid, "Threads")))
        return cohere(request)

    everywhere.reset(script)
    one.send(chunk([row(host, query=f"one zebra {number}") for number, host in enumerate(hosts)]))
    answers = one.lines(HOSTS, timeout_s=120.0)
    assert all(json.loads(answer)["result"] for answer in answers)
    # The first host has a connection already.
    assert (len(everywhere.requests), everywhere.connections) == (HOSTS, HOSTS - 1)
    assert len(seen) == HOSTS // 100 and max(count for count, _ in seen) <= MAX_DESCRIPTORS
    assert max(threads for _, threads in seen) <= status(pid, "Threads") + 1
    until = time.monotonic() + GONE_S
    while descriptors(pid)["socket"] >= before["socket"] and time.monotonic() < until:
        time.sleep(0.1)
    after = descriptors(pid)
    assert after["socket"] < before["socket"]  # the first host's connection is closed, too
    assert after["other"] <= before["other"] + MAX_COUNTERS


ROWS = 64
MAX_KB = 128 * 1024
NONSENSE = {
    "announced": Reply(body=b" " * MIB, repeat=16),
    "in chunks": Reply(
        body=b"100000\r\n" + b" " * MIB + b"\r\n",
        repeat=16,
        headers={"Content-Length": None, "Transfer-Encoding": "chunked"},
    ),
    "without a length": Reply(body=b" " * MIB, repeat=16, headers={"Content-Length": None}, close=True),
    "under the cap": Reply(body=b"[" * MIB, repeat=8),
    "in chunks, under the cap": Reply(
        raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"10000\r\n" + b"[" * 65_536 + b"\r\n"
        + (b"100\r\n" + b"[" * 256 + b"\r\n") * 25_000 + b"0\r\n\r\n"
    ),
}  # fmt: skip
OVER = "The answer of 127.0.0.1 exceeds 8388608 bytes."


@pytest.mark.fault("F24")
@pytest.mark.parametrize("name", NONSENSE)
def test_f24_64_rows_of_nonsense_cost_their_share(worker: Start, provider: Provider, name: str) -> None:
    """All at a time: they share the memory for large bodies, and each fails with a sentence of its own."""
    one = worker("--embedded")
    pid = one.process.pid
    provider.script = lambda _: NONSENSE[name]
    rows = [row(provider.url, query=f"one {number}", others={"on_error": "empty"}) for number in range(ROWS)]
    one.send(chunk(rows))
    assert one.lines(ROWS, timeout_s=60.0) == [b'{"result":[]}\n'] * ROWS
    assert len(provider.requests) == ROWS
    assert status(pid, "VmHWM") < MAX_KB
    one.send(chunk([row(provider.url)]))
    one.lines(1)
    _, _, said = one.finish()
    assert said.decode().startswith(
        "Rerank: PROTOCOL: " + ("Cohere answered 200 with no valid JSON" if "under" in name else OVER)
    )

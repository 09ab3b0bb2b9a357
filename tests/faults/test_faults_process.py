"""The worker as a process: what it costs, what it survives, and what its engine survives when it does not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import engine_bytes
from asking import DOCUMENTS, HANG_S, RIGHT, row, settings
from clickhouse_rerank.admission.endpoint_admission import EndpointAdmission
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.types import Row
from conftest import Worker, worker_environment
from provider import Provider, Reply, Request, cohere

Start = Callable[..., Worker]
MIB = 1 << 20
RIGHT_ANSWER = {"result": [[i, DOCUMENTS[i], score] for i, score in RIGHT]}
EMPTY = {"result": []}


def chunk(*rows: Row) -> bytes:
    return engine_bytes.chunk(list(rows), "JSONEachRow")


def answers(one: Worker, count: int) -> list[Any]:
    """The next `count` answers."""
    return [json.loads(line) for line in one.lines(count)]


def said(one: Worker) -> str:
    """What stands on stderr at this moment."""
    assert one.process.stderr is not None
    os.set_blocking(one.process.stderr.fileno(), False)
    return (one.process.stderr.read() or b"").decode()


def status(pid: int, name: str) -> int:
    """A figure of /proc/PID/status: kilobytes, or a count."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields[name].split()[0])


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def children(pid: int) -> list[int]:
    """Processes of this parent, whichever of its threads started them."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def workers(pid: int) -> list[int]:
    """Children that are workers."""
    found: list[int] = []
    for child in children(pid):
        with contextlib.suppress(OSError):
            if b"/rerank\0" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waits for yet counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def eventually(condition: Callable[[], bool], within_s: float = HANG_S) -> bool:
    """Whether a condition comes true before the time is over."""
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def giant(one: Row, name: str, size: int) -> bytes:
    """A chunk of this row with one document, whose size is given."""
    mark = "MARK" * 50  # as long, in RowBinary's prefix, as nothing else in the row
    raw = engine_bytes.chunk([replace(one, documents=[mark])], name)
    prefix = b"\xc8\x01" if name == "RowBinary" else b""
    length = bytes((size >> shift & 0x7F) | 0x80 for shift in (0, 7, 14)) + bytes((size >> 21,)) if prefix else b""
    return raw.replace(prefix + mark.encode(), length + b"x" * size)


# --- memory


def raw(head: str, body: bytes, **more: Any) -> Reply:
    return Reply(raw=f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body, **more)


SPACES = b" " * MIB
BOMB = gzip.compress(bytes(200 * MIB), 6)
LARGE = {
    "announced": Reply(body=SPACES, repeat=100),
    "unannounced": Reply(body=SPACES, repeat=100, headers={"Content-Length": None}, close=True),
    "endless chunks": Reply(
        body=b"100000\r\n" + SPACES + b"\r\n",
        repeat=1 << 40,
        headers={"Content-Length": None, "Transfer-Encoding": "chunked"},
    ),
    "one endless chunk": Reply(
        body=SPACES, repeat=1 << 40, headers={"Content-Length": None, "Transfer-Encoding": "chunked"}
    ),
    "compressed": Reply(body=BOMB, headers={"Content-Encoding": "gzip"}),
    "an error page": Reply(500, body=SPACES, repeat=100, headers={"retry-after": "9999"}),
    "an endless head": Reply(
        raw=b"X: " + b"x" * 1000 + b"\r\n", repeat=1 << 40
    ),
    "an endless line": Reply(raw=b"x" * 65536, repeat=1 << 40),
    "endless interim answers": Reply(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 100, repeat=1 << 40),
    "deep JSON": Reply(body=b"[" * (7 * MIB)),
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.fault("F23" if name == "compressed" else "F24"))
        for name in LARGE
    ],
)  # fmt: skip
def test_f24_an_answer_without_end_costs_16_mib_at_most(worker: Start, provider: Provider, name: str) -> None:
    """However the answer says its length, the process grows by the cap's worth, fails the row and answers the next."""
    asked = row(provider.url, others={"timeout_s": 1})
    one = worker("--embedded")
    one.send(chunk(asked))
    assert answers(one, 1) == [RIGHT_ANSWER]
    pid = one.process.pid
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = status(pid, "VmHWM")
    provider.script = lambda _: LARGE[name]
    one.send(chunk(asked))
    assert answers(one, 1) == [EMPTY]
    assert said(one).startswith("Rerank: ")
    assert status(pid, "VmHWM") - before < (16 + 4) * 1024
    provider.script = cohere
    one.send(chunk(asked))
    assert answers(one, 1) == [RIGHT_ANSWER]


@pytest.mark.fault("F65")
def test_f65_thousands_of_rows_leave_nothing_behind(worker: Start, provider: Provider) -> None:
    """Memory, descriptors and threads of the process are the same after thousands of rows, some of them failing."""

    def script(request: Request) -> Reply:
        return Reply(reset_after=30) if request.number % 97 == 0 else cohere(request)

    provider.script = script
    one = worker("--embedded")
    pid, figures = one.process.pid, []
    for number in range(12):
        one.send(chunk(*(row(provider.url, query=f"one zebra {number} {i}") for i in range(250))))
        assert len(answers(one, 250)) == 250
        figures.append((status(pid, "VmRSS"), descriptors(pid), status(pid, "Threads")))
    warm, last = figures[2], figures[-1]
    assert said(one) == ""
    assert last[0] - warm[0] < 5 * 1024
    assert last[1] <= max(descriptor for _, descriptor, _ in figures[:3])
    assert last[2] == warm[2]


@pytest.mark.fault("F65")
def test_f65_as_many_keys_as_rows_leave_little_behind(provider: Provider) -> None:
    """What is remembered of an endpoint and key is bounded, however many there are."""

    async def admissions() -> int:
        reranker = Reranker(settings())
        for first in range(0, 1500, 100):
            rows = [row(provider.url, key=f"key-{first + i}") for i in range(100)]
            await asyncio.gather(*map(reranker.rank, rows))
        await reranker.aclose()
        return sum(isinstance(thing, EndpointAdmission) for thing in gc.get_objects())

    gc.collect()
    assert asyncio.run(admissions()) <= 1100


# --- time and resources


@pytest.mark.fault("F17", "F18")
def test_f18_a_chunk_without_an_answer_takes_one_deadline(worker: Start, provider: Provider) -> None:
    """64 rows that a silent provider was asked fail after one deadline; the process answers the next chunk."""
    provider.script = lambda _: Reply(never=True)
    one = worker("--embedded")
    began = time.monotonic()
    one.send(chunk(*(row(provider.url, query=f"q{i}", others={"timeout_s": 1}) for i in range(64))))
    assert answers(one, 64) == [EMPTY] * 64
    assert 1 <= time.monotonic() - began < 10
    assert said(one).startswith("Rerank: TIMEOUT: ")
    provider.script = cohere
    one.send(chunk(row(provider.url)))
    assert answers(one, 1) == [RIGHT_ANSWER]


@pytest.mark.fault("F44")
def test_f44_without_descriptors_rows_fail_and_the_process_recovers(worker: Start, provider: Provider) -> None:
    """With no descriptor left for a connection the sentence says so; with some again, the same process answers."""
    one = worker("--embedded")
    one.send(chunk(row(provider.url)))
    assert answers(one, 1) == [RIGHT_ANSWER]
    pid = one.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid), limits[1]))
    provider.script = lambda request: Reply(never=True) if request.json["query"].startswith("q") else cohere(request)
    rows = [row(provider.url, query=f"q{i}", others={"timeout_s": 5}) for i in range(64)]
    before = processor_s(pid)
    one.send(chunk(*rows))
    assert answers(one, 64) == [EMPTY] * 64
    assert "Rerank: RESOURCE: " in said(one)
    assert processor_s(pid) - before < 2, "the process spins"
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    one.send(chunk(row(provider.url)))
    assert answers(one, 1) == [RIGHT_ANSWER]


@pytest.mark.fault("F44")
def test_f44_with_too_little_memory_the_process_ends(worker: Start, provider: Provider) -> None:
    """A row that does not fit into the memory that the process may have ends it, or fails; nothing hangs."""
    one = worker("--embedded")
    one.send(chunk(row(provider.url)))
    assert answers(one, 1) == [RIGHT_ANSWER]
    pid = one.process.pid
    limit = (status(pid, "VmSize") + 32 * 1024) * 1024
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
    with contextlib.suppress(BrokenPipeError):
        one.send(giant(row(provider.url), "JSONEachRow", 64 * MIB))
    if not eventually(lambda: one.process.poll() is not None, 2):
        assert answers(one, 1) == [EMPTY]
    assert "Rerank: " in said(one)


@pytest.mark.fault("F52")
@pytest.mark.parametrize("name", engine_bytes.FORMATS)
def test_f52_a_giant_row_is_refused_and_the_next_one_answered(worker: Start, provider: Provider, name: str) -> None:
    """A document of 40 MB is over the request's cap: nothing is sent, and the stream is still in step behind it."""
    one = worker("--embedded", "--format", name)
    one.send(giant(row(provider.url), name, 40 * MIB))
    assert one.process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(one.process.stdout, selectors.EVENT_READ)
        assert selector.select(HANG_S)
    assert engine_bytes.answers(os.read(one.process.stdout.fileno(), 100), name) == [[]]
    assert said(one).startswith("Rerank: TOO_LARGE: ")
    assert not provider.requests
    one.send(engine_bytes.chunk([row(provider.url)], name))
    code, out, _ = one.finish()
    assert code == 0
    (answer,) = engine_bytes.answers(out, name)
    assert [(i, text.decode(), score) for i, text, score in answer] == [(i, DOCUMENTS[i], s) for i, s in RIGHT]


@pytest.mark.fault("F71")
def test_f71_an_engine_that_does_not_read_errors_blocks_nothing(worker: Start) -> None:
    """When stderr is full the process ends, rather than wait for a reader or pass a failed row for an empty one."""
    one = worker("--embedded")
    assert one.process.stdin is not None and one.process.stdout is not None
    wrong = chunk(row("", provider="nobody"))
    written = 0
    with contextlib.suppress(BrokenPipeError):
        while True:
            one.send(wrong)
            if not one.process.stdout.read(100):
                break
            written += 1
            assert written < 10_000
    code, _, errors = one.finish()
    assert code == 1
    assert errors.count(b"Rerank: UNKNOWN_PROVIDER") == written


@pytest.mark.fault("F30")
def test_f30_a_proxy_in_the_environment_is_not_used(worker: Start, provider: Provider, tmp_path: Path) -> None:
    """Proxy, netrc and key log variables of the server's environment change nothing: no key goes anywhere else."""
    proxy = Provider()
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    others = {"NETRC": str(tmp_path / "netrc"), "SSLKEYLOGFILE": str(tmp_path / "keys")}
    one = worker("--embedded", **dict.fromkeys(names, proxy.url), **others)
    one.send(chunk(row(provider.url)))
    assert answers(one, 1) == [RIGHT_ANSWER]
    proxy.close()
    assert proxy.connections == 0
    assert provider.requests[0].headers["authorization"].startswith("Bearer ")
    assert not (tmp_path / "keys").exists()


@pytest.mark.fault("F66")
def test_f66_equal_rows_have_equal_results(worker: Start, provider: Provider) -> None:
    """A hundred rows of four kinds are four requests, whatever their order."""
    one = worker("--embedded")
    one.send(chunk(*(row(provider.url, query=f"one {i % 4}", top_k=1) for i in range(100))))
    assert answers(one, 100) == [{"result": [[0, DOCUMENTS[0], 0.5]]}] * 100
    assert len(provider.requests) == 4


# --- through the engine


DOCUMENTS_SQL = ", ".join(f"'{document}'" for document in DOCUMENTS)


def call(provider: Provider, query: str = "'one zebra'") -> str:
    return f"Rerank({query}, [{DOCUMENTS_SQL}], 2, 'Cohere', '{provider.url}', 'k', '')"


ENGINE = """
import json, os, re, sys
from clickhouse_rerank.commands.install import artifacts
from clickhouse_rerank.commands.embedded_engine import Engine, QueryError

registration = artifacts.registration
timeout = re.compile("<command_read_timeout>[0-9]+<")
artifacts.registration = lambda *a: timeout.sub("<command_read_timeout>2000<", registration(*a))
with Engine() as engine:
    for line in sys.stdin:
        try:
            print(json.dumps([True, engine.query(json.loads(line)).decode()]), flush=True)
        except QueryError as error:
            print(json.dumps([False, str(error)]), flush=True)
"""


class Server:
    """An engine in a process of its own, which gives a silent worker two seconds; `folder` is for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", ENGINE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=worker_environment(TMPDIR=str(folder)),
        )

    def ask(self, query: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(query).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self) -> list[Any]:
        """[whether it worked, result or error]"""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """An engine that may be killed."""
    one = Server(tmp_path)
    yield one
    one.process.kill()
    one.process.communicate()


@pytest.mark.fault("F48")
def test_f48_a_killed_worker_costs_its_query_only(server: Server, provider: Provider) -> None:
    """Fifty times: kill -9 while rows are with the provider fails that query, and the next one is right."""
    killed: set[int] = set()
    for _ in range(50):
        while provider.arrived.acquire(blocking=False):
            pass
        provider.script = lambda _: Reply(never=True)
        server.ask(f"SELECT {call(provider, 'toString(number)')} FROM numbers(3)")
        assert provider.arrived.acquire(timeout=HANG_S)
        (worker,) = (pid for pid in workers(server.process.pid) if not gone(pid))
        os.kill(worker, signal.SIGKILL)
        killed.add(worker)
        assert server.answer()[0] is False
        provider.script = cohere
        server.ask(f"SELECT {call(provider)}.1")
        assert server.answer() == [True, "[0,2]\n"]
    assert len(killed) == 50
    assert eventually(lambda: all(gone(pid) for pid in killed))


@pytest.mark.fault("F49")
def test_f49_a_stopped_worker_gives_its_bytes_to_nobody(server: Server, provider: Provider) -> None:
    """A worker that is stopped while it answers fails its query; when it goes on, no later query reads what it had."""
    server.ask(f"SELECT {call(provider)}.1")
    assert server.answer() == [True, "[0,2]\n"]
    (stopped,) = workers(server.process.pid)
    os.kill(stopped, signal.SIGSTOP)
    server.ask(f"SELECT {call(provider, chr(39) + 'third' + chr(39))}.1")
    assert server.answer()[0] is False
    os.kill(stopped, signal.SIGCONT)
    for _ in range(3):
        server.ask(f"SELECT {call(provider)}.1")
        assert server.answer() == [True, "[0,2]\n"]
    assert eventually(lambda: gone(stopped))


@pytest.mark.fault("F74")
def test_f74_a_killed_engine_leaves_no_worker(server: Server, provider: Provider) -> None:
    """kill -9 of the engine while a provider is asked: the worker ends within two seconds, and its connection."""
    server.ask(f"SELECT {call(provider)}.1")
    assert server.answer()[0] is True
    while provider.arrived.acquire(blocking=False):
        pass
    provider.script = lambda _: Reply(never=True)
    server.ask(f"SELECT {call(provider)}.2")
    assert provider.arrived.acquire(timeout=HANG_S)
    left = workers(server.process.pid)
    assert left
    server.process.kill()
    server.process.wait()
    assert eventually(lambda: all(gone(pid) for pid in left), 2)
    assert eventually(lambda: provider.in_flight == 0)

"""What the tests share: a provider on loopback, the SQL engine, and the worker process over pipes."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import clickhouse_connect
import hypothesis  # noqa: F401 - its plugin for pytest would import it at the very end, which CPython 3.11 may not survive
import pytest
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from certificates import Certificates
from clickhouse_rerank.commands import functions
from clickhouse_rerank.commands.embedded_engine import one_line_error
from clickhouse_rerank.commands.install import artifacts
from clickhouse_rerank.engine.formats import FORMATS
from provider import Provider

ROOT = Path(__file__).parents[1]
NO_CACHE = {"CLICKHOUSE_RERANK_CONFIG": str(Path(__file__).with_name("no_cache.toml"))}
"""The configuration of engines and workers unless a test has its own: most tests count requests."""


def worker_environment(**more: str) -> dict[str, str]:
    """This process's environment without what hides a missing flush, lends a key or remembers an answer."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED" and "_API_KEY" not in name}
    return kept | NO_CACHE | more


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider on loopback, with its well-behaved script. None but the test's own requests reach it."""
    server = Provider()
    yield server
    server.close()


class Session:
    """Queries through clickhouse-connect, whatever engine answers them."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def rows(self, query: str, **parameters: object) -> list[tuple]:
        return list(self.client.query(query, parameters=parameters).result_rows)

    def value(self, query: str, **parameters: object) -> object:
        ((value,),) = self.rows(query, **parameters)
        return value

    def text(self, query: str, format_name: str = "TabSeparated") -> str:
        """The formatted result."""
        return bytes(self.client.raw_query(query, fmt=format_name)).decode()

    def error(self, query: str, **parameters: object) -> str:
        """The one sentence a failing query gives the user."""
        with pytest.raises(DatabaseError) as raised:
            self.rows(query, **parameters)
        return one_line_error(str(raised.value))


class Sql(Session):
    """The embedded engine as a user meets it; `Rerank` exists once per format."""

    def __init__(self, folder: Path) -> None:
        for name in FORMATS:
            for file in artifacts.plan(folder, folder, name, ("--embedded",)):
                text, path = file.text, file.path
                if path.suffix == ".xml":
                    path = path.with_name(f"{name}.xml")
                    text = text.replace("<name>Rerank</name>", f"<name>{self.function(name)}</name>")
                artifacts.write(artifacts.File(path, text, file.mode))
        os.environ.pop("PYTHONUNBUFFERED", None)
        os.environ |= NO_CACHE
        super().__init__(clickhouse_connect.get_client(dsn="chdb://memory", chdb_options={"udf_path": str(folder)}))
        for _, statement in (*functions.statements(replace=True), *functions.library(replace=True)):
            self.client.command(statement.rstrip(";"))

    @staticmethod
    def function(format_name: str) -> str:
        """The SQL name of the function registered with a format."""
        return "Rerank" if format_name == "JSONEachRow" else f"Rerank{format_name}"


@pytest.fixture(scope="session")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sql]:
    """The embedded engine, with Rerank registered in each format and the wrappers created."""
    engine = Sql(tmp_path_factory.mktemp("udf"))
    yield engine
    engine.client.close()


_PIPE_BYTES = 1 << 16


class Worker:
    """The real launcher over pipes."""

    def __init__(self, launcher: Path, arguments: Sequence[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [launcher, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
        )
        self._sending: threading.Thread | None = None

    def send(self, data: bytes) -> None:
        """Write to stdin; while much data is written, answers can be read, as the engine does."""
        if self._sending is not None:
            self._sending.join()
            self._sending = None
        if len(data) <= _PIPE_BYTES:
            self._write(data)
        else:
            self._sending = threading.Thread(target=self._write_while_it_reads, args=(data,), daemon=True)
            self._sending.start()

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        rest = memoryview(data)
        while rest:
            rest = rest[self.process.stdin.write(rest) :]

    def _write_while_it_reads(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended, or its stdin is closed
            self._write(data)

    def lines(self, count: int, timeout_s: float = 20.0) -> list[bytes]:
        """The next `count` lines of stdout; fails when they do not come."""
        got = b""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            until = time.monotonic() + timeout_s
            while got.count(b"\n") < count:
                assert selector.select(until - time.monotonic()), f"only {got[:500]!r} after {timeout_s} s"
                piece = os.read(self.process.stdout.fileno(), 1 << 20)
                assert piece, f"stdout ended after {got[:500]!r}; stderr: {self.process.stderr.read()[:2000]!r}"
                got += piece
        return got.splitlines(keepends=True)

    def finish(self, timeout_s: float = 20.0) -> tuple[int, bytes, bytes]:
        """Close stdin when all is sent; (exit code, rest of stdout, stderr)."""
        if self._sending is not None:
            self._sending.join(timeout_s)
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out, err


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launcher as `install` writes it."""
    folder = tmp_path_factory.mktemp("launcher")
    for file in artifacts.plan(folder, folder):
        artifacts.write(file)
    return folder / artifacts.LAUNCHER


@pytest.fixture
def worker(launcher: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers: worker("--embedded", COHERE_API_KEY="k"); none outlives the test."""
    started: list[Worker] = []

    def start(*arguments: str, **environment: str) -> Worker:
        started.append(Worker(launcher, arguments, worker_environment(**environment)))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every host that this process dials or looks up; any but loopback is refused, and fails the test."""
    hosts: list[str] = []
    strays: list[str] = []
    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def note(host: str) -> None:
        hosts.append(host)
        if not (host.startswith("127.") or host in ("::1", "localhost")):
            strays.append(host)
            raise OSError("tests talk to loopback only")

    def noting_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            note(address[0])
        connect(self, address)

    def noting_getaddrinfo(host: str, *arguments: Any, **more: Any) -> Any:
        note(host)
        return getaddrinfo(host, *arguments, **more)

    monkeypatch.setattr(socket.socket, "connect", noting_connect)
    monkeypatch.setattr(socket, "getaddrinfo", noting_getaddrinfo)
    yield hosts
    assert not strays


@pytest.fixture
def black_hole() -> Iterator[tuple[str, int]]:
    """An address on loopback whose SYNs are dropped: its backlog is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.2", 0))
        server.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()
        for filler in fillers:
            filler.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The authority; a test without the openssl command is skipped."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    return Certificates(tmp_path_factory.mktemp("tls"))

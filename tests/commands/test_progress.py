"""What `clickhouse-rerank sql` shows on a terminal while a query runs, on a real one with a real engine."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from clickhouse_rerank.commands import progress
from clickhouse_rerank.usage.counters import Counts, total
from conftest import worker_environment
from provider import Provider, Reply, Request, cohere

HANG_S = 30.0
WIPE = b"\r\x1b[K"
ROWS = (
    "SELECT Rerank(concat('b ', toString(number)), ['a', 'b'], 1, 'Cohere', '{url}', 'the-key', '')[1].2 AS best "
    "FROM numbers(4)"
)


class Terminal:
    """A terminal, and what is written to it."""

    def __init__(self, columns: int) -> None:
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.seen = b""

    def until(self, found: Callable[[bytes], object]) -> None:
        """Read until something is there; fails when it does not come."""
        end = time.monotonic() + HANG_S
        while not found(self.seen):
            assert select.select([self.ours], [], [], end - time.monotonic())[0], self.seen
            try:
                piece = os.read(self.ours, 1 << 16)
            except OSError:  # everybody has closed it
                piece = b""
            assert piece, self.seen
            self.seen += piece


Open = Callable[..., Terminal]


@pytest.fixture
def terminal() -> Iterator[Open]:
    """Opens terminals of so many columns."""
    opened: list[Terminal] = []

    def one(columns: int = 120) -> Terminal:
        opened.append(Terminal(columns))
        return opened[-1]

    yield one
    for each in opened:
        os.close(each.ours)


Command = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def sql(tmp_path: Path, provider: Provider) -> Iterator[Command]:
    """Starts the command in a process group of its own, one request at a time; its temporary files are in `tmp`."""
    config = tmp_path / "one.toml"
    config.write_text("[limits]\nmax_in_flight = 1\n[cache]\nmemory_s = 0\n")
    (tmp_path / "tmp").mkdir()
    environment = worker_environment(CLICKHOUSE_RERANK_CONFIG=str(config), TMPDIR=str(tmp_path / "tmp"), TERM="xterm")
    started: list[subprocess.Popen[bytes]] = []

    def start(*, out: int, err: int, query: str = ROWS) -> subprocess.Popen[bytes]:
        # A shell that runs the tests in the background ignores SIGINT, and its children inherit that.
        words = ["env", "--default-signal=INT", sys.executable, "-m", "clickhouse_rerank.commands.cli", "sql"]
        words.append(query.format(url=provider.url))
        process = subprocess.Popen(words, stdout=out, stderr=err, env=environment, start_new_session=True)
        started.append(process)
        for fd in {out, err} - {subprocess.PIPE}:
            os.close(fd)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def held(provider: Provider) -> Iterator[threading.Event]:
    """The second request fails, the fifth is answered when this is set."""
    release = threading.Event()

    def script(request: Request) -> Reply:
        if request.number == 2:
            return Reply(status=500, json={"message": "again"})
        if request.number == 5:
            release.wait(HANG_S)
        return cohere(request)

    provider.reset(script)
    yield release
    release.set()


def test_a_terminal_shows_how_far_it_is(sql: Command, terminal: Open, held: threading.Event) -> None:
    """On stderr, while stdout goes elsewhere: rows, requests, errors, seconds; then the line is wiped."""
    screen = terminal()
    process = sql(out=subprocess.PIPE, err=screen.theirs)
    screen.until(re.compile(rb"Rerank: 3 of 4 rows, 5 requests, 1 error\. Elapsed: \d+\.\d s\.").search)
    held.set()
    out, _ = process.communicate(timeout=HANG_S)
    assert (process.returncode, out) == (0, b"b\n" * 4)
    screen.until(lambda seen: seen.endswith(WIPE))
    assert screen.seen.startswith(WIPE) and b"\n" not in screen.seen


def test_the_result_comes_after_the_line_is_wiped(sql: Command, terminal: Open, held: threading.Event) -> None:
    """Both streams on one terminal: nothing is drawn over the result."""
    screen = terminal()
    process = sql(out=screen.theirs, err=screen.theirs)
    screen.until(lambda seen: b"3 of 4 rows" in seen)
    held.set()
    screen.until(lambda seen: "└".encode() in seen)
    assert process.wait(HANG_S) == 0
    before, _, after = screen.seen.rpartition(WIPE)
    assert b"best" in after and b"Elapsed" not in after and b"best" not in before


def test_an_error_comes_after_the_line_is_wiped(sql: Command, terminal: Open, provider: Provider) -> None:
    """The reason stands alone on its line."""
    release = threading.Event()

    def script(request: Request) -> Reply:
        release.wait(HANG_S)
        return Reply(status=401, json={"message": "no"})

    provider.reset(script)
    screen = terminal()
    process = sql(out=subprocess.PIPE, err=screen.theirs)
    try:
        screen.until(lambda seen: b"1 request," in seen)
    finally:
        release.set()
    screen.until(lambda seen: seen.endswith(b"\r\n"))
    assert process.wait(HANG_S) == 1
    assert screen.seen.rpartition(WIPE)[2].startswith(b"Rerank: AUTH: ")


def test_the_line_is_as_wide_as_the_terminal(sql: Command, terminal: Open, held: threading.Event) -> None:
    """It never reaches the last column, where it would wrap."""
    screen = terminal(30)
    process = sql(out=subprocess.PIPE, err=screen.theirs)
    screen.until(lambda seen: b"3 of 4" in seen)
    held.set()
    assert process.wait(HANG_S) == 0
    screen.until(lambda seen: seen.endswith(WIPE))
    assert max(map(len, screen.seen.split(WIPE))) == 29


def test_ctrl_c_ends_it_at_once(
    sql: Command, terminal: Open, held: threading.Event, tmp_path: Path, provider: Provider
) -> None:
    """In the midst of a query: the line is wiped, the command dies of the signal, no worker or file is left."""
    screen = terminal()
    process = sql(out=subprocess.PIPE, err=screen.theirs)
    screen.until(lambda seen: b"3 of 4 rows" in seen)
    while provider.gone.acquire(blocking=False):
        pass
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(HANG_S) == -signal.SIGINT
    screen.until(lambda seen: seen.endswith(WIPE))
    assert b"Traceback" not in screen.seen
    shared = f"clickhouse-rerank-{os.geteuid()}"  # what processes count together, which is kept
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == [shared]
    held.set()
    assert provider.gone.acquire(timeout=HANG_S), "the worker lives"


def test_nothing_is_shown_where_there_is_no_terminal(sql: Command, provider: Provider) -> None:
    """A query that takes longer than what is not worth a line leaves stderr empty."""
    provider.reset(lambda request: Reply(json=cohere(request).json, delay_s=0.4))
    process = sql(out=subprocess.PIPE, err=subprocess.PIPE)
    assert process.communicate(timeout=HANG_S) == (b"b\n" * 4, b"")


class Screen(io.StringIO):
    """A terminal of no known width; does something after each write."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self.then = then

    def fileno(self) -> int:
        raise OSError("not a terminal")

    def flush(self) -> None:
        self.then()


def test_what_is_quick_is_not_shown(tmp_path: Path) -> None:
    """Nothing is written, not even to wipe it."""
    work: Future[None] = Future()
    work.set_result(None)
    screen = Screen(lambda: None)
    progress.show(work, tmp_path, screen)
    assert screen.getvalue() == ""


def test_what_fails_to_draw_leaves_the_work_alone(tmp_path: Path) -> None:
    """A file that is half written, by a worker that begins, counts nothing; the others are added up."""
    (tmp_path / "1").write_bytes(struct.pack("<4Q", 1, 2, 3, 4))
    (tmp_path / "2").write_bytes(struct.pack("<4Q", 10, 20, 30, 40))
    (tmp_path / "3").write_bytes(b"\0")
    assert total(tmp_path) == Counts(11, 22, 33, 44)
    work: Future[None] = Future()
    screen = Screen(lambda: None if work.done() else work.set_result(None))
    progress.show(work, tmp_path, screen)
    assert re.fullmatch(
        r"\r\x1b\[KRerank: 11 of 22 rows, 33 requests, 44 errors\. Elapsed: \d\.\d s\.\r\x1b\[K", screen.getvalue()
    )


def test_a_query_without_rerank_shows_its_time() -> None:
    """No counts, no words about them; one of a thing is one."""
    assert progress.line(Counts(), 1.26) == "Elapsed: 1.3 s."
    shown = progress.line(Counts(rows=1_000, of=12_345, requests=1, errors=0), 61.0)
    assert shown == "Rerank: 1,000 of 12,345 rows, 1 request, 0 errors. Elapsed: 61.0 s."


def test_a_worker_that_cannot_write_it_down_answers_all_the_same(worker: Callable[..., object], tmp_path: Path) -> None:
    """A folder that is gone is no error of a query."""
    one = worker("--embedded", "--format", "TabSeparated", "--progress", str(tmp_path / "none"))
    one.send(b"1\na\t['a']\t1\tBM25\t\t\t\n")
    assert one.lines(1)[0].startswith(b"[(0,'a',")
    assert one.finish() == (0, b"", b"")

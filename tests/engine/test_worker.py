"""The worker process over pipes: what ClickHouse sends, what it may rely on."""

from __future__ import annotations

import os
import select
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import engine_bytes
from clickhouse_rerank.types import Row
from clickhouse_rerank.worker import READ_TIMEOUT_MS
from conftest import ROOT, Worker, worker_environment
from provider import Provider, Reply, Request, cohere

FORMATS = engine_bytes.FORMATS
Start = Callable[..., Worker]
HANG_S = 20.0


def start_in(worker: Start, name: str) -> Worker:
    return worker("--embedded", "--format", name)


def bm25(query: str, *documents: str) -> Row:
    return Row(query, list(documents), 1, "BM25", "", "", "")


def called(provider: Provider, query: str, *documents: str) -> Row:
    return Row(query, list(documents), 2, "Cohere", provider.url + "/v1/rerank", "the-key", "")


def answers(one: Worker, count: int, name: str) -> list[engine_bytes.Answer]:
    """The next `count` answers of a worker, and no byte more."""
    assert one.process.stdout is not None
    got, until = b"", time.monotonic() + HANG_S
    with selectors.DefaultSelector() as selector:
        selector.register(one.process.stdout, selectors.EVENT_READ)
        while True:
            try:
                found = engine_bytes.answers(got, name)
            except (ValueError, IndexError):
                found = []
            if len(found) >= count:
                assert len(found) == count, "more answers than rows"
                return found
            assert selector.select(until - time.monotonic()), f"only {got[:500]!r}"
            piece = os.read(one.process.stdout.fileno(), 1 << 20)
            assert piece, f"stdout ended after {got[:500]!r}"
            got += piece


def said(one: Worker) -> bytes:
    """What stands on stderr at this moment."""
    assert one.process.stderr is not None
    os.set_blocking(one.process.stderr.fileno(), False)
    return one.process.stderr.read() or b""


@pytest.fixture
def arrived(provider: Provider) -> Iterator[Callable[[], None]]:
    """Waits until one more request has reached the provider."""
    while provider.arrived.acquire(blocking=False):
        pass

    def wait() -> None:
        assert provider.arrived.acquire(timeout=HANG_S)

    yield wait


@pytest.mark.parametrize("name", FORMATS)
def test_chunks_are_answered_in_each_format(worker: Start, name: str) -> None:
    """Several chunks, one of them empty, two in one write, get exactly their answers; the end of input exits 0."""
    one = start_in(worker, name)
    one.send(engine_bytes.chunk([bm25("b", "a", "b"), bm25("a", "a", "b")], name))
    assert [answer[0][:2] for answer in answers(one, 2, name)] == [(1, b"b"), (0, b"a")]
    one.send(b"0\n")
    one.send(
        engine_bytes.chunk([bm25("x", "x \udcff")], name) + engine_bytes.chunk([bm25("x", "\0 x"), bm25("x")], name)
    )
    assert [[document[:2] for document in answer] for answer in answers(one, 3, name)] == [
        [(0, b"x \xff")],
        [(0, b"\0 x")],
        [],
    ]
    assert one.finish() == (0, b"", b"")


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_is_flushed_while_the_next_one_waits(
    worker: Start, provider: Provider, arrived: Callable[[], None], name: str
) -> None:
    """The head row's answer leaves while later rows are still with the provider."""
    provider.reset(lambda r: Reply(never=True) if r.json["query"] == "slow" else cohere(r))
    one = start_in(worker, name)
    rows = [called(provider, "a", "a", "b"), called(provider, "b", "a", "b"), called(provider, "slow", "a", "b")]
    one.send(engine_bytes.chunk(rows, name))
    assert [answer[0][0] for answer in answers(one, 2, name)] == [0, 1]


def test_a_row_is_answered_before_the_rest_of_its_chunk_has_come(worker: Start) -> None:
    """Rows are answered as they arrive: a large chunk is not collected first."""
    one = start_in(worker, "JSONEachRow")
    data = engine_bytes.chunk([bm25("a", "a"), bm25("b", "b")], "JSONEachRow")
    first = data.index(b"}\n") + 2
    one.send(data[:first])
    assert len(answers(one, 1, "JSONEachRow")) == 1
    one.send(data[first:])
    assert len(answers(one, 1, "JSONEachRow")) == 1


def test_answers_keep_the_order_of_rows(worker: Start, provider: Provider) -> None:
    """Rows whose answers come back in another order are answered in row order."""
    provider.reset(
        lambda r: Reply(
            delay_s=0.3 - 0.01 * int(r.json["query"]), json={"results": [{"index": 0, "relevance_score": 0.5}]}
        )
    )
    one = start_in(worker, "RowBinary")
    one.send(engine_bytes.chunk([called(provider, str(n), f"document {n}") for n in range(30)], "RowBinary"))
    assert [answer[0][1] for answer in answers(one, 30, "RowBinary")] == [b"document %d" % n for n in range(30)]


def refuse_x(request: Request) -> Reply:
    return Reply(status=401, json={"message": "no such token"}) if request.json["query"] == "x" else cohere(request)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failed_row_fails_its_chunk_only(worker: Start, provider: Provider, name: str, failing: int) -> None:
    """A failed row gives one line on stderr before the last row, exactly as many rows, and a process that lives on."""
    provider.reset(refuse_x)
    one = start_in(worker, name)
    for _ in range(2):
        rows = [called(provider, "x" if n == failing else "a", "a", f"b{n}") for n in range(3)]
        one.send(engine_bytes.chunk(rows, name))
        got = answers(one, 3, name)
        assert got[failing:] == [[]] * (3 - failing)
        line = said(one)
        assert line.startswith(b"Rerank: AUTH: Cohere answered 401 (no such token)")
        assert b"\n" not in line and len(line) <= 4000
        one.send(engine_bytes.chunk([called(provider, "a", "b", "a")], name))
        assert answers(one, 1, name)[0][0][:2] == (1, b"a")
        assert said(one) == b""
    assert one.finish() == (0, b"", b"")


def test_all_rows_are_read_before_a_failure_is_answered(worker: Start, provider: Provider) -> None:
    """A failure of an early row waits for the chunk's last row, or the engine would read answers out of step."""
    provider.reset(lambda r: Reply(never=True) if r.json["query"] == "slow" else refuse_x(r))
    while provider.gone.acquire(blocking=False):
        pass
    one = start_in(worker, "TabSeparated")
    rows = [called(provider, "slow", "a"), called(provider, "x", "a"), bm25("a", "a")]
    data = engine_bytes.chunk(rows, "TabSeparated")
    one.send(data[:-1])
    assert provider.gone.acquire(timeout=HANG_S)  # the failure has stopped the other row
    assert provider.in_flight == 0
    with selectors.DefaultSelector() as selector:
        for stream in (one.process.stdout, one.process.stderr):
            selector.register(stream, selectors.EVENT_READ)
        assert not selector.select(0.3)
    one.send(data[-1:])
    assert answers(one, 3, "TabSeparated") == [[], [], []]
    assert said(one).startswith(b"Rerank: AUTH: ")


def test_a_failure_is_said_when_all_answers_are_read(worker: Start, provider: Provider) -> None:
    """A line comes after the answers before it are read: between the engine's poll and read it would be missed."""
    provider.reset(lambda r: Reply(never=True) if r.json["query"] == "slow" else refuse_x(r))
    while provider.gone.acquire(blocking=False):
        pass
    one = start_in(worker, "TabSeparated")
    data = engine_bytes.chunk([called(provider, query, "a") for query in ("a", "x", "slow")], "TabSeparated")
    first = data.index(b"the-key\t\n") + len(b"the-key\t\n")
    one.send(data[:first])
    with selectors.DefaultSelector() as selector:
        selector.register(one.process.stdout, selectors.EVENT_READ)
        assert selector.select(HANG_S)
    one.send(data[first:])
    assert provider.gone.acquire(timeout=HANG_S)  # the failure has stopped the other row
    with selectors.DefaultSelector() as selector:
        selector.register(one.process.stderr, selectors.EVENT_READ)
        assert not selector.select(0.3)
        assert answers(one, 1, "TabSeparated") == [[(0, b"a", 1.0)]]
        assert selector.select(HANG_S)
    assert answers(one, 2, "TabSeparated") == [[], []]
    assert said(one).startswith(b"Rerank: AUTH: ")


def test_a_malformed_row_fails_its_chunk_only(worker: Start) -> None:
    """A line that is no row is one failed row; the process lives on."""
    one = start_in(worker, "JSONEachRow")
    one.send(b"2\n{}\n" + engine_bytes.argument(bm25("a", "a"), "JSONEachRow"))
    assert answers(one, 2, "JSONEachRow") == [[], []]
    assert said(one).startswith(b"Rerank: INPUT: ")
    one.send(engine_bytes.chunk([bm25("a", "a")], "JSONEachRow"))
    assert answers(one, 1, "JSONEachRow")[0][0][:2] == (0, b"a")


@pytest.mark.parametrize("name", FORMATS)
def test_equal_rows_are_one_request(worker: Start, provider: Provider, name: str) -> None:
    """Equal rows of a chunk are asked once and answered each; when the one request fails, so does the chunk."""
    provider.reset(refuse_x)
    one = start_in(worker, name)
    one.send(engine_bytes.chunk([called(provider, "a", "b", "a"), called(provider, "b", "b", "a")] * 10, name))
    assert [answer[0][0] for answer in answers(one, 20, name)] == [1, 0] * 10
    assert len(provider.requests) == 2
    one.send(engine_bytes.chunk([called(provider, "x", "a")] * 5, name))
    assert answers(one, 5, name) == [[]] * 5
    assert said(one).startswith(b"Rerank: AUTH: ")
    assert len(provider.requests) == 3


def test_the_end_of_input_between_chunks_exits_0(worker: Start) -> None:
    """A session that ends before any chunk, or behind noise, is no error."""
    assert start_in(worker, "RowBinary").finish() == (0, b"", b"")
    one = start_in(worker, "JSONEachRow")
    one.send(b"\n]\n")
    assert one.finish() == (0, b"", b"")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("cut", ["header", "row", "rows"])
def test_the_end_of_input_inside_a_chunk_is_an_error(worker: Start, name: str, cut: str) -> None:
    """Input that ends in a header, in a row or between the rows of a chunk ends the process with code 1."""
    one = start_in(worker, name)
    data = engine_bytes.chunk([bm25("a", "a")], name)
    one.send({"header": b"1", "row": data[: len(data) // 2], "rows": data.replace(b"1", b"2", 1)}[cut])
    code, out, err = one.finish()
    assert code == 1 and err == b""
    assert len(engine_bytes.answers(out, name)) <= 1


def test_the_end_of_input_during_a_call_ends_the_process(
    worker: Start, provider: Provider, arrived: Callable[[], None]
) -> None:
    """A session that ends while a provider is asked leaves neither process nor connection."""
    provider.reset(lambda _: Reply(never=True))
    one = start_in(worker, "JSONEachRow")
    while provider.gone.acquire(blocking=False):
        pass
    one.send(engine_bytes.chunk([called(provider, "a", "a")], "JSONEachRow"))
    arrived()
    assert one.finish() == (1, b"", b"")
    assert provider.gone.acquire(timeout=HANG_S)


def test_sigterm_ends_the_process_during_a_call(worker: Start, provider: Provider, arrived: Callable[[], None]) -> None:
    """SIGTERM ends it at once, with nothing written."""
    provider.reset(lambda _: Reply(never=True))
    one = start_in(worker, "JSONEachRow")
    one.send(engine_bytes.chunk([called(provider, "a", "a")], "JSONEachRow"))
    arrived()
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(HANG_S) == -signal.SIGTERM
    assert one.finish()[1:] == (b"", b"")


def test_sigint_is_for_somebody_else(worker: Start) -> None:
    """A terminal's Ctrl-C reaches the whole process group; the worker answers on."""
    one = start_in(worker, "JSONEachRow")
    one.send(engine_bytes.chunk([bm25("a", "a")], "JSONEachRow"))
    answers(one, 1, "JSONEachRow")
    one.process.send_signal(signal.SIGINT)
    one.send(engine_bytes.chunk([bm25("b", "b")], "JSONEachRow"))
    assert answers(one, 1, "JSONEachRow")[0][0][1] == b"b"


def test_a_closed_stdout_ends_the_process_quietly(worker: Start) -> None:
    """When the engine has closed the answers' pipe, the process ends without a word."""
    one = start_in(worker, "JSONEachRow")
    one.process.stdout.close()
    one.send(engine_bytes.chunk([bm25("a", "a")], "JSONEachRow"))
    assert one.process.wait(HANG_S) == 1
    assert said(one) == b""


def test_a_failure_does_not_wait_for_a_reader_that_is_gone(worker: Start) -> None:
    """Answers that nobody will read any more do not hold the process."""
    one = start_in(worker, "TabSeparated")
    data = engine_bytes.chunk([bm25("a", "a"), Row("q", ["d"], 1, "nobody", "", "", "")], "TabSeparated")
    first = data.index(b"BM25\t\t\t\n") + len(b"BM25\t\t\t\n")
    one.send(data[:first])
    with selectors.DefaultSelector() as selector:
        selector.register(one.process.stdout, selectors.EVENT_READ)
        assert selector.select(HANG_S)
    one.process.stdout.close()
    one.send(data[first:])
    assert one.process.wait(HANG_S) == 1


def test_a_failure_that_cannot_be_reported_is_not_answered(worker: Start) -> None:
    """With stderr closed, empty answers would pass for results, so the process ends instead."""
    one = start_in(worker, "JSONEachRow")
    one.process.stderr.close()
    one.send(engine_bytes.chunk([Row("q", ["d"], 1, "nobody", "", "", "")], "JSONEachRow"))
    assert one.process.wait(HANG_S) == 1
    assert one.process.stdout.read() == b""


def test_an_answer_larger_than_a_pipe_arrives(worker: Start) -> None:
    """An engine that writes all rows before it reads any answer gets them all."""
    one = start_in(worker, "RowBinary")
    row = bm25("y", "y " + "z" * 500_000)
    one.send(engine_bytes.chunk([row] * 8, "RowBinary"))
    assert {len(answer[0][1]) for answer in answers(one, 8, "RowBinary")} == {500_002}


@pytest.mark.parametrize("header", [b"-1\n", b"abc\n", b"5\r\n", b"1" * 30])
def test_a_bad_header_ends_the_process(worker: Start, header: bytes) -> None:
    """When chunks can no longer be told apart, the process says so and ends without an answer."""
    one = start_in(worker, "JSONEachRow")
    one.send(header)
    assert one.process.wait(HANG_S) == 1
    assert said(one).startswith(b"Rerank: INPUT: A chunk does not begin with its row count.")
    assert one.process.stdout.read() == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "CSV"], b"no format 'CSV'"),
        (["--format"], b"no format ''"),
        (["--frmat", "RowBinary"], b"does not know '--frmat'"),
    ],
)
def test_a_wrong_command_line_is_one_line(worker: Start, arguments: list[str], words: bytes) -> None:
    """An option in the registration that does not exist is named."""
    one = worker(*arguments)
    assert one.process.wait(HANG_S) == 1
    line = said(one)
    assert words in line and b"\n" not in line


NOISY = """
import os, subprocess, sys, warnings
from clickhouse_rerank import reranker, worker
from clickhouse_rerank.request.others import Options
from clickhouse_rerank.types import Ranking
async def rank(self, row, account, digest):
    print("stray", flush=True)
    warnings.warn("stray")
    sys.stderr.write("stray")
    os.write(1, b"stray")
    os.write(2, b"stray")
    subprocess.run("echo stray; echo stray >&2", shell=True)
    assert os.path.samestat(os.fstat(0), os.stat(os.devnull))
    if row.query == "defect":
        raise KeyError("secret words of a document")
    return Ranking([(0, 0.5)])
reranker.Reranker.rank = rank
reranker.Reranker.options = lambda self, row: Options()
reranker.Reranker.shares = lambda self, row: False
worker.main(["--format", "TabSeparated"])
"""


@pytest.fixture
def noisy() -> Iterator[Worker]:
    one = Worker(Path(sys.executable), ["-W", "always", "-c", NOISY], worker_environment())
    yield one
    one.process.kill()
    one.process.communicate()


def test_stray_output_reaches_nobody(noisy: Worker) -> None:
    """Prints, warnings and children can neither shift the answers nor raise an error in SQL, nor eat the input."""
    for _ in range(2):
        noisy.send(engine_bytes.chunk([called_nowhere("a"), called_nowhere("b")], "TabSeparated"))
        assert answers(noisy, 2, "TabSeparated") == [[(0, b"d", 0.5)]] * 2
    assert noisy.finish() == (0, b"", b"")


def called_nowhere(query: str) -> Row:
    return Row(query, ["d"], 1, "p", "", "", "")


def test_a_defect_is_one_line_without_its_words(noisy: Worker) -> None:
    """An unexpected exception ends the process with its type and place; its text, which may hold a document, stays."""
    noisy.send(engine_bytes.chunk([called_nowhere("defect")], "TabSeparated"))
    assert noisy.process.wait(HANG_S) == 1
    line = said(noisy)
    assert line.startswith(b"Rerank: INTERNAL: KeyError at ") and b"secret" not in line and b"\n" not in line
    assert noisy.process.stdout.read() == b""


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("[limits", "is not TOML: "),
        ("[limits]\nmax_in_flight = 'many'", "[limits] max_in_flight must be a positive integer."),
        ('["a\\nb' + "c" * 9000 + '"]', "has the unknown section [a bccc"),
        ('[credentials.p]\nprovider = "Cohere"\napi_key_env = "UNSET_VARIABLE"', "UNSET_VARIABLE"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line(worker: Start, tmp_path: Path, document: str, words: str) -> None:
    """The first chunk of a worker with a wrong configuration fails with a line that names the setting."""
    config = tmp_path / "config.toml"
    config.write_text(document)
    one = worker(CLICKHOUSE_RERANK_CONFIG=str(config))
    assert one.process.wait(HANG_S) == 1
    line = said(one).decode()
    assert line.startswith(f"Rerank: CONFIG: {config} ") and words in line
    assert "\n" not in line and len(line.encode()) <= 4000
    assert one.process.stdout.read() == b""


def test_a_missing_configuration_file_is_named(worker: Start, tmp_path: Path) -> None:
    """A variable that names no file is a mistake, not a default."""
    one = worker(CLICKHOUSE_RERANK_CONFIG=str(tmp_path / "none.toml"))
    assert one.process.wait(HANG_S) == 1
    assert said(one).startswith(b"Rerank: CONFIG: %s cannot be read" % str(tmp_path / "none.toml").encode())


def test_the_registrations_read_timeout_is_what_the_worker_assumes() -> None:
    """The number in the XML and the worker's default are one."""
    text = (ROOT / "udf" / "rerank_function.xml").read_text("utf-8")
    assert f"<command_read_timeout>{READ_TIMEOUT_MS}</command_read_timeout>" in text


@pytest.mark.parametrize(
    ("deadline_s", "arguments", "code"), [(40, (), 0), (41, (), 1), (41, ("--read-timeout-ms", "121000"), 0)]
)
def test_a_deadline_that_the_engine_would_not_wait_for_is_refused(
    worker: Start, tmp_path: Path, deadline_s: int, arguments: tuple[str, ...], code: int
) -> None:
    """A row may not be silent for longer than command_read_timeout; the refusal names both settings."""
    config = tmp_path / "config.toml"
    config.write_text(f"[limits]\nrow_deadline_s = {deadline_s}\n")
    exit_code, _, err = worker(*arguments, CLICKHOUSE_RERANK_CONFIG=str(config)).finish()
    assert exit_code == code
    assert bool(err) == (b"CONFIG" in err and b"row_deadline_s" in err and b"command_read_timeout" in err) == bool(code)


def test_input_far_ahead_of_the_provider_waits_in_the_pipe(worker: Start, provider: Provider) -> None:
    """Of 250 MB in one chunk, most stays outside the worker until its turn comes; all rows are answered."""
    rows, document = 1000, b"x" * 250_000
    one = start_in(worker, "JSONEachRow")
    wanted = replace(called(provider, "QUERY", "DOCUMENT", "q"), top_k=1)
    row = engine_bytes.argument(wanted, "JSONEachRow").replace(b"DOCUMENT", document)
    lines = (row.replace(b"QUERY", b"q %d" % i) for i in range(rows))
    sender = threading.Thread(target=lambda: [one.send(piece) for piece in (b"%d\n" % rows, *lines)], daemon=True)
    sender.start()
    assert len(one.lines(rows, timeout_s=60)) == rows
    status = Path(f"/proc/{one.process.pid}/status").read_text("utf-8")
    (peak_kb,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak_kb < 200 * 1024


def test_the_end_of_input_is_seen_behind_rows_not_yet_read(
    worker: Start, provider: Provider, arrived: Callable[[], None]
) -> None:
    """A session that ends while its rows still fill the pipe ends the worker too."""
    provider.reset(lambda _: Reply(never=True))
    one = start_in(worker, "JSONEachRow")
    row = engine_bytes.argument(called(provider, "q", "DOCUMENT"), "JSONEachRow").replace(b"DOCUMENT", b"x" * 1_000_000)

    assert one.process.stdin is not None
    pipe = one.process.stdin.fileno()
    one.send(b"100\n" + row)
    arrived()
    os.set_blocking(pipe, False)
    left = memoryview(row * 99)
    while select.select([], [pipe], [], 1.0)[1]:  # until the worker has left the pipe full
        left = left[os.write(pipe, left) :]
    assert left
    one.process.stdin.close()
    one.process.stdin = None
    assert one.process.wait(HANG_S) == 1


def test_a_failed_chunk_larger_than_what_is_kept_is_read_to_its_end(worker: Start, provider: Provider) -> None:
    """Rows that nobody will answer any more do not stop the input; the next chunk is answered."""
    provider.reset(lambda _: Reply(401, {"message": "invalid api token"}))
    one = start_in(worker, "JSONEachRow")
    row = engine_bytes.argument(called(provider, "q", "DOCUMENT"), "JSONEachRow").replace(b"DOCUMENT", b"x" * 1_000_000)
    sender = threading.Thread(target=lambda: [one.send(piece) for piece in (b"40\n", *[row] * 40)], daemon=True)
    sender.start()
    assert one.lines(40) == [b'{"result":[]}\n'] * 40
    one.send(engine_bytes.chunk([bm25("b", "a", "b")], "JSONEachRow"))
    assert len(one.lines(1)) == 1

"""The file that workers share their scores in: whatever happens to it, answers stay right and queries do not notice."""

from __future__ import annotations

import logging
import os
import random
import resource
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

import engine_bytes
from asking import DOCUMENTS, KEY, QUERY, RIGHT, asked, row, settings
from clickhouse_rerank.cache import sqlite_file
from clickhouse_rerank.cache.sqlite_file import ScoreFile
from clickhouse_rerank.config.settings import Settings
from clickhouse_rerank.config.tables import CacheSettings
from conftest import Worker
from provider import Provider
from shared_cache import answer, shared

Start = Callable[..., Worker]


class Clocks:
    """Both clocks of a file, moved by the test."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


def opened(path: Path, clocks: Clocks | None = None, **caching: float) -> ScoreFile:
    clocks = clocks or Clocks()
    one = ScoreFile(CacheSettings(path=str(path), **caching), clocks, clocks)  # type: ignore[arg-type]
    assert one.is_usable()
    return one


def within(path: Path) -> Settings:
    """Settings with this file and no memory."""
    return settings(cache=CacheSettings(memory_s=0, path=str(path)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scores"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What was logged so far."""
    caplog.set_level(logging.INFO)
    yield lambda: [record.getMessage() for record in caplog.records if record.name == "clickhouse_rerank"]


def keys(count: int, first: int = 0) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(first, first + count)]


def test_values_come_back_from_other_processes(path: Path) -> None:
    """Before they are written to who put them, afterwards to everybody, with one secret; many at a time, too."""
    one, other = opened(path), opened(path)
    assert one.secret == other.secret != b""
    values = {key: key[::-1] for key in keys(sqlite_file._HOLD - 1)}
    one.put(values)
    assert one.get(keys(2000)) == values
    assert other.get(keys(2000)) == {}
    one.put({keys(1, 1999)[0]: b"last"})
    assert other.get(keys(2000)) == one.get(keys(2000)) == values | {keys(1, 1999)[0]: b"last"}
    one.put({keys(1)[0]: b"new"})
    one.flush()
    assert other.get(keys(1)) == {keys(1)[0]: b"new"}
    for each in (one, other):
        each.close()


def test_values_are_written_in_batches_by_time_too(path: Path) -> None:
    """The next one after a fifth of a second takes the others along."""
    clocks = Clocks()
    one, other = opened(path, clocks), opened(path)
    first, second = keys(2)
    one.put({first: b"1"})
    assert other.get([first]) == {}
    clocks.now += 0.3
    one.put({second: b"2"})
    assert other.get([first, second]) == {first: b"1", second: b"2"}


def test_scores_grow_old(path: Path) -> None:
    """After ttl_s they are unknown until they are put again; what is from the future is unknown, too."""
    clocks = Clocks()
    one = opened(path, clocks, ttl_s=100)

    def known() -> bool:
        one.flush()
        return bool(one.get(keys(1)))

    one.put({keys(1)[0]: b"value"})
    assert known()
    clocks.now += 100
    assert known()
    clocks.now += 1
    assert not known()
    one.put({keys(1)[0]: b"value"})
    assert known()
    clocks.now -= 3600
    assert not known()


def test_the_oldest_leave_a_full_file(path: Path) -> None:
    """Its size stays near max_bytes while ten times as much comes, and what came last is there."""
    one = opened(path, max_bytes=1 << 20)
    for batch in range(200):
        one.put({key: bytes(8) for key in keys(500, 500 * batch)})
    known = one.get(keys(100_000))
    one.close()
    assert path.stat().st_size < 1.3 * (1 << 20)
    assert len(known) > 7_000
    assert sorted(known) == keys(len(known), 100_000 - len(known))


def test_no_text_is_kept_and_nobody_else_may_read(provider: Provider, path: Path) -> None:
    """Neither query nor documents nor key stand in any of the files, whose mode is 600, also while they are in use."""
    holder = opened(path)
    assert asked(row(provider.url), row(provider.url, provider="Jina"), within=within(path)) == [RIGHT] * 2
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["scores", "scores-shm", "scores-wal"]
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        content = file.read_bytes()
        for text in (*DOCUMENTS, QUERY, KEY, KEY[:12], "zebra", "127.0.0.1"):
            assert text.encode() not in content
    holder.close()


def test_who_comes_second_takes_the_file_of_the_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it had found none and made one: what the first one kept meanwhile is not lost."""
    link, first = os.link, []

    def late(source: str, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        first.append(opened(path))
        first[0].put({keys(1)[0]: b"value"})
        first[0].flush()
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    second = opened(path)
    assert second.secret == first[0].secret
    assert second.get(keys(1)) == {keys(1)[0]: b"value"}
    for each in (first[0], second):
        each.close()
    assert [file.name for file in path.parent.iterdir()] == ["scores"]


def test_processes_may_begin_at_once(worker: Start, provider: Provider, tmp_path: Path) -> None:
    """Of several workers that find no file each makes one or takes the first; all of them share it and log nothing."""
    pool = [worker("--embedded", **shared(tmp_path)) for _ in range(6)]
    for number, one in enumerate(pool):
        one.send(engine_bytes.chunk([row(provider.url, query=f"zebra {number}")], "JSONEachRow"))
    for one in pool:
        one.lines(1)
    assert len(provider.requests) == 6
    assert [one.finish()[0] for one in pool] == [0] * 6
    everything = [row(provider.url, query=f"zebra {number}") for number in range(6)]
    answer(worker("--embedded", **shared(tmp_path)), *everything)
    assert len(provider.requests) == 6
    assert (tmp_path / "log").read_text() == ""
    assert sorted(file.name for file in (tmp_path / "kept").iterdir() if not file.name.startswith("scores")) == []


ASKS = [row("", query=query, documents=[f"{word} {n}" for n in range(12)]) for query in ("a b", "7 a") for word in "ab"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for files with the scores of ASKS."""
    return tmp_path_factory.mktemp("whole")


@given(st.randoms(use_true_random=False), st.sampled_from(["flip", "flip", "flip", "zero", "cut", "swap"]))
@profile(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_changes_no_answer(provider: Provider, whole: Path, chance: random.Random, how: str) -> None:
    """Bits flipped, pages zeroed or exchanged, the end cut off: every answer is right, from the file or asked anew."""
    rows = [row(f"{provider.url}", query=one.query, documents=one.documents, top_k=12) for one in ASKS]
    path = whole / "scores"
    if not path.exists():
        assert asked(*rows, within=within(path)) == asked(*rows)
    right = asked(*rows)
    damaged = whole / "damaged"
    for name in ("damaged-wal", "damaged-shm"):
        (whole / name).unlink(missing_ok=True)
    content = bytearray(path.read_bytes())
    damage(content, chance, how)
    damaged.write_bytes(content)
    damaged.chmod(0o600)
    assert asked(*rows, within=within(damaged)) == right
    assert asked(*rows, within=within(damaged)) == right


def damage(content: bytearray, chance: random.Random, how: str) -> None:
    pages = len(content) // 4096
    start, other = (4096 * chance.randrange(pages) for _ in range(2))
    if how == "cut":
        del content[chance.randrange(len(content)) :]
    elif how == "zero":
        content[start : start + 4096] = bytes(4096)
    elif how == "swap":
        content[start : start + 4096], content[other : other + 4096] = (
            content[other : other + 4096],
            content[start : start + 4096],
        )
    else:
        for _ in range(chance.choice((1, 3, 30))):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def test_a_value_that_was_changed_is_not_believed(provider: Provider, path: Path) -> None:
    """Nor is one that belongs to another key: it is asked for anew."""
    assert asked(row(provider.url, top_k=4), within=within(path)) == [[(0, 1.0), (2, 1.0), (1, 0.5), (3, 0.0)]]
    for change in (
        "UPDATE scores SET value = x'9a9999999999b93f' || substr(value, 9)",
        "UPDATE scores SET value = (SELECT value FROM scores ORDER BY id LIMIT 1)",
        "UPDATE scores SET value = 0.5",
        "UPDATE scores SET value = 'text'",
        "UPDATE scores SET value = x''",
    ):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(change)
        assert asked(row(provider.url), within=within(path)) == [RIGHT]


def broken_folder(path: Path) -> None:
    path.parent.chmod(0o777)


def read_by_all(path: Path) -> None:
    opened(path).close()
    path.chmod(0o644)


def of_something_else(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE scores (key, value, at)")
    path.chmod(0o600)


def link(path: Path) -> None:
    opened(path.with_name("other")).close()
    path.symlink_to(path.with_name("other"))


def with_bytes(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)
        path.chmod(0o600)

    return write


def without_secret(path: Path) -> None:
    opened(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM secret")


SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a folder of everybody's": (broken_folder, "is no folder of the server's user alone"),
    "a file that all may read": (read_by_all, "it is no file that only the server's user can use (mode 600)"),
    "a symbolic link": (link, "it is no file that only the server's user can use (mode 600)"),
    "a folder": (Path.mkdir, "it is no file that only the server's user can use (mode 600)"),
    "another database": (of_something_else, "it is a file of something else"),
    "an empty file": (with_bytes(b""), "it is a file of something else"),
    "no database": (with_bytes(b"some text\n" * 1000), "file is not a database"),
    "no secret": (without_secret, "it is damaged"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_what_is_no_cache_is_left_alone(
    provider: Provider, path: Path, logged: Callable[[], list[str]], what: str
) -> None:
    """Answers are right, each call asks, the file stays as it was, and one line says why."""
    spoil, words = SPOILED[what]
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    assert asked(row(provider.url), row(provider.url), within=within(path)) == [RIGHT] * 2
    assert len(provider.requests) == 2
    (line,) = logged()
    assert line.startswith(f"The cache {path} is not used for the time being: ") and words in line
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_without_the_file_the_memory_serves(provider: Provider, path: Path) -> None:
    """A file that cannot be used leaves what there is without one."""
    path.mkdir()
    caching = settings(cache=CacheSettings(path=str(path)))
    assert asked(row(provider.url), row(provider.url), within=caching) == [RIGHT] * 2
    assert len(provider.requests) == 1


def test_a_folder_is_made(provider: Provider, tmp_path: Path, logged: Callable[[], list[str]]) -> None:
    """The last one of the path, for its user alone; a path without its other folders is no path."""
    path = tmp_path / "kept" / "scores"
    assert asked(row(provider.url), within=within(path)) == [RIGHT]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700 and logged() == []
    assert asked(row(provider.url), within=within(tmp_path / "no" / "such" / "scores")) == [RIGHT]
    assert "No such file or directory" in "".join(logged())


def test_a_failure_is_forgiven_after_a_minute(path: Path, logged: Callable[[], list[str]]) -> None:
    """Until then the file is left alone; the same reason is logged once."""
    clocks = Clocks()
    with_bytes(b"some text\n" * 1000)(path)
    one = ScoreFile(CacheSettings(path=str(path)), clocks, clocks)
    for _ in range(2):
        clocks.now += 61
        assert not one.is_usable() and not one.is_usable()
    path.unlink()
    assert not one.is_usable()
    clocks.now += 61
    assert one.is_usable()
    one.put({keys(1)[0]: b"value"})
    one.close()
    assert opened(path, clocks).get(keys(1)) == {keys(1)[0]: b"value"}
    assert len(logged()) == 1


def test_a_locked_file_delays_and_loses_writes_only(path: Path, logged: Callable[[], list[str]]) -> None:
    """What cannot be written is still known to its process, and written later; too much of it is given up, and said."""
    clocks = Clocks()
    one, other = opened(path, clocks), opened(path, clocks)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        one.put({keys(1)[0]: b"value"})
        one.flush()
        assert one.get(keys(1)) == {keys(1)[0]: b"value"} and other.get(keys(1)) == {}
        writer.execute("ROLLBACK")
        one.flush()
        assert other.get(keys(1)) == {}  # not at once again
        clocks.now += 1
        one.flush()
        assert other.get(keys(1)) == {keys(1)[0]: b"value"} and logged() == []
        writer.execute("BEGIN IMMEDIATE")
        for batch in range(20):
            one.put(dict.fromkeys(keys(500, 500 * batch), b"more"))
        assert len(one._pending) <= sqlite_file._MOST_HELD
        one.close()
        writer.execute("ROLLBACK")
    assert [line.partition(": ")[2] for line in logged()] == ["it is locked by who writes to it"]


def test_a_disk_that_fills_up_in_use_is_survived(worker: Start, provider: Provider, tmp_path: Path) -> None:
    """The worker cannot write a byte more: its answers are right, nothing is on stderr, one line in the log."""
    one = worker("--embedded", **shared(tmp_path))
    log = tmp_path / "log"
    for query in (QUERY, "two"):
        answer(one, row(provider.url, query=query))  # behind the second, the first one's scores are written
    size = (tmp_path / "kept" / "scores-wal").stat().st_size
    assert size > 4096
    resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, (size, size))
    for number in range(30):
        documents = [f"zebra {number} {n}" for n in range(60)]
        assert answer(one, row(provider.url, documents=documents)) == [[(0, 0.5), (1, 0.5)]]
    assert one.finish() == (0, b"", b"")
    assert len(log.read_text().splitlines()) == 1 and "is not used for the time being" in log.read_text()


def test_a_file_that_is_overwritten_in_use_is_survived(worker: Start, provider: Provider, tmp_path: Path) -> None:
    """Garbage under a running worker, and under one that starts: right answers, silence, and a line in the log."""
    one = worker("--embedded", **shared(tmp_path))
    rows = [row(provider.url, query=f"zebra {number}") for number in range(20)]
    right = answer(one, *rows)
    assert [len(ranking) for ranking in right] == [2] * 20
    answer(one, row(provider.url))
    for file in ("scores", "scores-wal"):
        path = tmp_path / "kept" / file
        path.write_bytes(random.Random(7).randbytes(path.stat().st_size))
    for _ in range(2):
        assert answer(one, *rows) == right
    two = worker("--embedded", **shared(tmp_path))
    assert answer(two, *rows) == right
    assert one.finish() == two.finish() == (0, b"", b"")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines and all("is not used for the time being" in line for line in lines) and len(lines) <= 3


def test_a_deleted_folder_is_survived(worker: Start, provider: Provider, tmp_path: Path) -> None:
    """Answers stay right, and the worker ends in good order."""
    one = worker("--embedded", **shared(tmp_path))
    assert answer(one, row(provider.url)) == [RIGHT]
    shutil.rmtree(tmp_path / "kept")
    assert answer(one, row(provider.url), row(provider.url, documents=["zebra", *DOCUMENTS[:1]])) == [
        RIGHT,
        [(1, 1.0), (0, 0.5)],
    ]
    assert one.finish() == (0, b"", b"")

"""The embedded engine's temporary folder: removed by its process, or by the next one if that was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clickhouse_rerank.commands.temporary_folder import TemporaryFolder, remove_abandoned
from conftest import worker_environment
from provider import Provider, Reply

HANG_S = 30.0
CLI = (sys.executable, "-m", "clickhouse_rerank.commands.cli")
DEFAULT_SIGNALS = ("env", "--default-signal=HUP,INT")
"""A shell that runs the tests in the background ignores these signals, and its children inherit that."""
QUERY = "SELECT Rerank('b', ['a', 'b'], 1, 'Cohere', '{url}', 'the-key', '')[1].2"
PATTERN = "clickhouse-rerank-engine-*"
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder for temporary files of the commands that a test starts."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture
def silent(provider: Provider) -> Provider:
    """A provider that does not answer."""
    provider.reset(lambda _: Reply(never=True))
    while provider.arrived.acquire(blocking=False) or provider.gone.acquire(blocking=False):
        pass
    return provider


@pytest.fixture
def start(place: Path, silent: Provider) -> Iterator[Start]:
    """Starts a command and waits until its worker has asked the provider."""
    started: list[subprocess.Popen[bytes]] = []

    def one(*arguments: str, before: tuple[str, ...] = (), **streams: int) -> subprocess.Popen[bytes]:
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **streams}
        process = subprocess.Popen(
            [*DEFAULT_SIGNALS, *before, *CLI, *arguments],
            env=worker_environment(TMPDIR=str(place), TERM="xterm"),
            **streams,
        )
        started.append(process)
        assert silent.arrived.acquire(timeout=HANG_S)
        assert len(list(place.glob(PATTERN))) == 1
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()


def assert_worker_ends(provider: Provider) -> None:
    assert provider.gone.acquire(timeout=HANG_S), "the worker lives"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_during_a_query_removes_the_folder(
    start: Start, place: Path, silent: Provider, number: signal.Signals
) -> None:
    """The command dies of that signal and prints nothing; its worker, which gets no signal, ends too."""
    process = start("sql", QUERY.format(url=silent.url))
    process.send_signal(number)
    _, err = process.communicate(timeout=HANG_S)
    assert (process.returncode, err) == (-number, b"")
    assert not list(place.glob(PATTERN))
    assert_worker_ends(silent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_demonstration_removes_the_folder(
    start: Start, place: Path, silent: Provider, number: signal.Signals
) -> None:
    """A query is running there as well."""
    process = start("demo", "--provider", "LocalAI", "--base-url", silent.url, "--model", "m")
    process.send_signal(number)
    _, err = process.communicate(timeout=HANG_S)
    assert (process.returncode, err) == (-number, b"")
    assert not list(place.glob(PATTERN))
    assert_worker_ends(silent)


@pytest.mark.skipif(shutil.which("setsid") is None, reason="needs the setsid command")
def test_a_closed_terminal_removes_the_folder(start: Start, place: Path, silent: Provider) -> None:
    """The terminal sends SIGHUP, and can no longer be written to."""
    ours, theirs = os.openpty()
    process = start("sql", QUERY.format(url=silent.url), before=("setsid", "--ctty"), stdin=theirs, stderr=theirs)
    os.close(theirs)
    os.close(ours)
    assert process.wait(HANG_S) == -signal.SIGHUP
    assert not list(place.glob(PATTERN))
    assert_worker_ends(silent)


def test_an_ignored_signal_stays_ignored(start: Start, place: Path, silent: Provider) -> None:
    """As under nohup: the query goes on, and another signal ends it."""
    process = start("sql", QUERY.format(url=silent.url), before=("env", "--ignore-signal=HUP"))
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(HANG_S) == -signal.SIGTERM
    assert not list(place.glob(PATTERN))


def test_the_next_start_removes_what_a_killed_process_left(start: Start, place: Path, silent: Provider) -> None:
    """A living process keeps its folder, whatever other processes start; a killed one's folder goes."""
    process = start("sql", QUERY.format(url=silent.url))
    (folder,) = place.glob(PATTERN)
    sql = [*CLI, "sql", "SELECT 1"]
    environment = worker_environment(TMPDIR=str(place))
    assert subprocess.run(sql, env=environment, capture_output=True, check=True, timeout=60).stdout == b"1\n"
    assert {entry.name for entry in folder.iterdir()} == {"lock", "udf", "progress", "files", "data"}
    process.kill()
    process.wait(HANG_S)
    assert_worker_ends(silent)
    assert folder.exists()
    subprocess.run(sql, env=environment, capture_output=True, check=True, timeout=60)
    assert not list(place.glob(PATTERN))


def abandoned(parent: Path) -> Path:
    """A folder as a killed process leaves it."""
    folder = Path(tempfile.mkdtemp(prefix="clickhouse-rerank-engine-", dir=parent))
    for name in ("udf", "progress", "data"):
        (folder / name).mkdir()
        (folder / name / "file").touch()
    (folder / "lock").touch()
    return folder


def test_an_abandoned_folder_is_removed(tmp_path: Path) -> None:
    """Also one whose process was killed before it made the lock file."""
    folders = [abandoned(tmp_path), abandoned(tmp_path)]
    (folders[1] / "lock").unlink()
    remove_abandoned(tmp_path)
    assert not list(tmp_path.iterdir())


def renamed(folder: Path) -> None:
    folder.rename(folder.with_name("clickhouse-rerank-0"))


def opened(folder: Path) -> None:
    folder.chmod(0o755)


def given_away(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives folders away")
    os.chown(folder, 54321, 54321)


def used_otherwise(folder: Path) -> None:
    (folder / "thesis.tex").touch()


def linked(folder: Path) -> None:
    target = folder.with_name("elsewhere")
    (folder / "lock").unlink()  # or one is made through the link
    folder.rename(target)
    folder.symlink_to(target)


@pytest.mark.parametrize("change", [renamed, opened, given_away, used_otherwise, linked])
def test_a_folder_that_is_not_the_engines_stays(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """By its name, its mode, its owner or its entries; a symbolic link is not followed."""
    change(abandoned(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that starts may see a new folder before its lock, take it for abandoned, and remove it."""
    make, held = tempfile.mkdtemp, []

    def seen_by_others(prefix: str) -> str:
        folder = make(prefix=prefix, dir=tmp_path)
        held.append(folder)
        if len(held) == 1:
            shutil.rmtree(folder)
        elif len(held) == 2:
            file = (Path(folder) / "lock").open("w")
            fcntl.flock(file, fcntl.LOCK_EX)
            held.append(file)
        return folder

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", seen_by_others)
    folder = TemporaryFolder()
    assert str(folder.path) == held[-1] and len(held) == 4
    remove_abandoned(tmp_path)
    assert folder.path.exists()
    folder.remove()
    folder.remove()
    assert not folder.path.exists()
    held[2].close()


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine starts there all the same; nobody can tell which folders are abandoned, so all of them stay."""
    left = abandoned(tmp_path)

    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fcntl, "flock", none)
    folder = TemporaryFolder()
    assert folder.path.exists() and left.exists()
    folder.remove()
    assert list(tmp_path.iterdir()) == [left]


def test_a_file_that_a_worker_adds_during_removal_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is just starting writes its counts into the folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = TemporaryFolder()
    folder.progress.mkdir()
    rmdir, late = os.rmdir, []

    def add_first(path: str, *arguments: object, **more: object) -> None:
        if not late and str(path).endswith("progress"):
            late.append(path)
            (folder.progress / "123").touch()
        rmdir(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rmdir", add_first)
    folder.remove()
    assert late and not folder.path.exists()

"""The share of each worker process in what one endpoint may be asked."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clickhouse_rerank.admission.endpoint_admission import EndpointAdmission
from clickhouse_rerank.admission.outcome import Outcome
from clickhouse_rerank.admission.process_count import ProcessCount, ProcessCounts
from clickhouse_rerank.errors import ProviderFailedError

OTHER = """
import os, sys
from clickhouse_rerank.admission.process_count import ProcessCount
other = ProcessCount(lambda: os.open(sys.argv[1], os.O_RDWR | os.O_CREAT))
other.arrive()
print(other.count(), flush=True)
sys.stdin.read()
"""

OBSERVER = """
import os, sys
from clickhouse_rerank.admission.process_count import ProcessCount
observer = ProcessCount(lambda: os.open(sys.argv[1], os.O_RDWR))
observer.arrive()
print(observer.count())
"""


class Clock:
    """A clock that the test moves, so that every count is a new one."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_processes_count_each_other_until_they_end(tmp_path: Path) -> None:
    """Each busy process is one; one that is killed counts no more."""
    path = tmp_path / "asking"
    me = ProcessCount(lambda: os.open(path, os.O_RDWR | os.O_CREAT), Clock())
    me.arrive()
    assert me.count() == 1
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "2\n"
        assert me.count() == 2
        other.kill()
        other.wait()
        assert me.count() == 1


def test_an_endpoint_lets_in_its_process_share(tmp_path: Path) -> None:
    """Of eight places two processes take four each; alone again, one takes all."""

    async def inside() -> int:
        most = within = 0
        release = asyncio.Event()

        async def visit() -> None:
            nonlocal most, within
            async with entry.place(entry.ticket()):
                within += 1
                most = max(most, within)
                await release.wait()
                within -= 1

        visits = [asyncio.create_task(visit()) for _ in range(20)]
        for _ in range(5):
            await asyncio.sleep(0)
        release.set()
        await asyncio.gather(*visits)
        return most

    path = tmp_path / "asking"
    entry = EndpointAdmission(8, ProcessCount(lambda: os.open(path, os.O_RDWR | os.O_CREAT), Clock()))
    with subprocess.Popen([sys.executable, "-c", OTHER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"1\n"
        assert asyncio.run(inside()) == 4
        other.kill()
    assert asyncio.run(inside()) == 8


def test_without_a_file_a_process_is_alone() -> None:
    """No folder to share means the whole limit."""
    alone = ProcessCount(lambda: -1)
    alone.arrive()
    assert alone.count() == 1
    alone.depart()


def test_rows_given_up_in_a_pause_leave_the_place_to_others(tmp_path: Path) -> None:
    """A process whose waiting rows were all cancelled while the endpoint was at its limit counts no more."""
    path = tmp_path / "asking"

    async def give_up() -> None:
        async def visit() -> None:
            async with entry.place(entry.ticket()):
                raise AssertionError("let in during the pause")

        entry.report(Outcome.RATE_LIMITED, now[0], ProviderFailedError("RATE_LIMIT", "x", wait_s=30.0))
        visits = [asyncio.create_task(visit()) for _ in range(3)]
        await asyncio.sleep(0)
        for one in visits:
            one.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        now[0] += 31.0
        entry._resume(130.0)  # as the timer does at the end of the pause

    now = [100.0]
    process_count = ProcessCount(lambda: os.open(path, os.O_RDWR | os.O_CREAT))
    entry = EndpointAdmission(8, process_count, clock=lambda: now[0])
    asyncio.run(give_up())
    assert taken(path) == "1\n"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_hosts_that_are_asked_no_more_leave_their_descriptors_to_others(tmp_path: Path) -> None:
    """A hundred hosts one after the other are all counted, with sixteen files open; and the first once more."""
    counts = ProcessCounts(tmp_path / "counters")
    before = descriptors()
    hosts = [counts.of(f"host-{number}") for number in range(100)]
    for number, one in enumerate([*hosts, hosts[0]]):
        one.arrive()
        assert taken(tmp_path / "counters" / asking(f"host-{number % 100}")) == "2\n"
        one.depart()
    assert descriptors() == before + 16
    counts.close()
    assert descriptors() == before


def asking(host: str) -> str:
    return hashlib.sha256(host.encode()).hexdigest()[:32] + ".asking"


def taken(path: Path) -> str:
    """How many ask the host by another process's count, itself included."""
    return subprocess.run([sys.executable, "-c", OBSERVER, path], capture_output=True, text=True, check=True).stdout


def test_more_hosts_at_a_time_than_files_work_on_their_own_limit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The seventeenth counts itself alone, which is logged once; the next time there is a file for it."""
    counts = ProcessCounts(tmp_path)
    hosts = [counts.of(f"host-{number}") for number in range(18)]
    for one in hosts:
        one.arrive()
    assert [record.getMessage() for record in caplog.records] == [
        "This worker asks 17 hosts at the same time, and worker processes share their limit for 16 of them. "
        "Each further host may get limits.max_in_flight requests from each process."
    ]
    assert caplog.records[0].levelname == "WARNING" and caplog.records[0].name == "clickhouse_rerank"
    assert len(list(tmp_path.iterdir())) == 16
    assert hosts[16].count() == hosts[17].count() == 1
    hosts[3].depart()
    hosts[16].depart()
    hosts[16].arrive()
    assert taken(tmp_path / asking("host-16")) == "2\n"
    assert taken(tmp_path / asking("host-3")) == "1\n"
    counts.close()


def test_one_host_is_counted_once_however_many_endpoints_it_has(tmp_path: Path) -> None:
    """Closing a file drops all locks that the process has on it, so that there must not be two."""
    counts = ProcessCounts(tmp_path)
    assert counts.of("a") is not counts.of("b")
    one = counts.of("a")
    assert counts.of("a") is one
    one.arrive()
    one.arrive()
    one.depart()
    assert taken(tmp_path / asking("a")) == "2\n"
    one.depart()
    assert taken(tmp_path / asking("a")) == "1\n"
    counts.close()


def test_a_folder_that_cannot_be_used_leaves_each_process_alone(tmp_path: Path) -> None:
    """Requests are sent all the same."""
    counts = ProcessCounts(tmp_path / "no" / "such")
    one = counts.of("a")
    one.arrive()
    assert one.count() == 1 and not one.is_idle
    one.depart()
    assert one.is_idle

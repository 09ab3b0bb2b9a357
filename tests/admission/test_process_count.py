"""The share of each worker process in what one endpoint may be asked."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from clickhouse_rerank.admission.gate import Gate
from clickhouse_rerank.admission.process_count import ProcessCount

OTHER = """
import os, sys
from clickhouse_rerank.admission.process_count import ProcessCount
other = ProcessCount(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT))
other.arrive()
print(other.count(), flush=True)
sys.stdin.read()
"""

OBSERVER = """
import os, sys
from clickhouse_rerank.admission.process_count import ProcessCount
print(ProcessCount(os.open(sys.argv[1], os.O_RDWR)).count())
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
    me = ProcessCount(os.open(path, os.O_RDWR | os.O_CREAT), Clock())
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


def test_a_gate_lets_in_its_process_share(tmp_path: Path) -> None:
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
    entry = Gate(8, process_count=ProcessCount(os.open(path, os.O_RDWR | os.O_CREAT), Clock()))
    with subprocess.Popen([sys.executable, "-c", OTHER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"1\n"
        assert asyncio.run(inside()) == 4
        other.kill()
    assert asyncio.run(inside()) == 8


def test_without_a_file_a_process_is_alone() -> None:
    """No folder to share means the whole limit."""
    alone = ProcessCount(-1)
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

        entry.crowded(asked_at=now[0], wait_s=30.0)
        visits = [asyncio.create_task(visit()) for _ in range(3)]
        await asyncio.sleep(0)
        for one in visits:
            one.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        now[0] += 31.0
        entry._admit()  # as at the end of the pause

    now = [100.0]
    process_count = ProcessCount(os.open(path, os.O_RDWR | os.O_CREAT))
    entry = Gate(8, clock=lambda: now[0], process_count=process_count)
    asyncio.run(give_up())
    seen = subprocess.run([sys.executable, "-c", OBSERVER, path], capture_output=True, text=True, check=True)
    assert seen.stdout == "1\n"

"""Processor time and memory of the worker processes, from /proc; and jobs in a process of their own."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_ROOT = Path(__file__).parents[1]
BENCH_PYTHON = _ROOT / ".venv-bench" / "bin" / "python"
"""The Python of the bench environment, which has the peers' packages."""


def isolated(job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What the job returns, run in a new process: one engine each, and nothing left over from the last one."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(job, *arguments, **named).result()


def printed(python: Path | str, module: str, *arguments: object, environment: Mapping[str, str]) -> dict[str, Any]:
    """What a module of the benchmark prints last, as JSON; it runs with nothing of this process's environment.

    Errors: RuntimeError where it fails.
    """
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    command = [str(python), "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=_ROOT, env={**kept, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} {arguments[0]} failed: {done.stderr.strip()[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def workers() -> list[int]:
    """The worker processes that this process's engine has started."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return [pid for pid in found if b"rerank" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def cpu_s(pid: int | None = None) -> float:
    """Seconds that a process's threads have spent on a processor; of this process by default."""
    tasks = Path(f"/proc/{pid or os.getpid()}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def memory_kb(pid: int) -> tuple[int, int]:
    """(resident, the most ever resident) of a process."""
    resident, most = _kb(f"/proc/{pid}/status", "VmRSS", "VmHWM")
    return resident, most


def own_and_shared_kb(pid: int) -> tuple[int, int]:
    """(memory of its own, memory of files that it has mapped) of a process."""
    own, shared = _kb(f"/proc/{pid}/status", "RssAnon", "RssFile")
    return own, shared


def proportional_kb(pid: int) -> int:
    """Memory of a process, of which it counts only its part where others share it."""
    return _kb(f"/proc/{pid}/smaps_rollup", "Pss")[0]


def _kb(file: str, *keys: str) -> list[int]:
    found = dict(line.split(":", 1) for line in Path(file).read_text().splitlines() if ":" in line)
    return [int(found[key].split()[0]) for key in keys]

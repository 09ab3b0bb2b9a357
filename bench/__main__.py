"""`make bench`: measure everything on two cores and loopback alone; write bench/RESULTS.md and its chart."""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from . import contest, figures, growth, report, sql
from .processes import BENCH_PYTHON, isolated
from .provider import Provider
from .record import FULL, QUICK, Results, Sizes

_HERE = Path(__file__).parent
_CORES = 2
_MAX_LOAD = 0.5
_PARTS = {"capacity": figures.capacity, "contest": contest.run, "figures": figures.run, "growth": growth.run}


def main() -> int:
    """Measure and report; a missed target is no failure, for it says as much of the machine as of the code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, its figures say little")
    parser.add_argument("--only", choices=_PARTS, action="append", help="measure only this, and write nothing")
    parser.add_argument("--output", type=Path, help="the folder for RESULTS.md and results.png; bench by default")
    arguments = parser.parse_args()
    sizes: Sizes = QUICK if arguments.quick else FULL
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.endswith("_API_KEY") or name == "PYTHONUNBUFFERED":
            del os.environ[name]
    load = os.getloadavg()[0]
    if load > _MAX_LOAD:
        print(f"The machine is busy (load average {load:.2f}): absolute figures will be worse than they are.")
    results = Results()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)

    with Provider() as provider:
        for name, part in _PARTS.items():
            if not arguments.only or name in arguments.only:
                part(provider, sizes, results, say)
    print(f"\n{report.terminal(results)}\n\n{time.monotonic() - began:.0f} s")
    if not arguments.only and (arguments.output or not arguments.quick):
        _write(arguments.output or _HERE, results, sizes, load)
    return 0


def _write(folder: Path, results: Results, sizes: Sizes, load: float) -> None:
    chart = folder / "results.png"
    contests = {
        contest.short_title: [asdict(one) | {"ratio": one.ratio} for one in contestants]
        for contest, contestants in results.contests.items()
        if len(contestants) > 2
    }
    data = json.dumps({"contests": contests, "curves": [asdict(curve) for curve in results.curves]})
    command = [str(BENCH_PYTHON), "-m", "bench.chart", str(chart.absolute())]
    subprocess.run(command, cwd=_HERE.parent, input=data, text=True, check=True)
    line = report.machine(isolated(sql.engine_version))
    (folder / "RESULTS.md").write_text(report.markdown(results, sizes, line, load, chart.name))
    print(f"Written: {folder / 'RESULTS.md'}, {chart}")


if __name__ == "__main__":
    sys.exit(main())

"""`make bench-check`: instructions for each step of a row, against the committed counts.

Counted by callgrind, which a busy machine does not disturb. A step that takes 10 % more than its count fails.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from .instruction_work import TIMES

COUNTS = Path(__file__).with_name("instructions.json")
_WORK = Path(__file__).with_name("instruction_work.py")
_MAX_RATIO = 1.10
_TOTAL = re.compile(r"^(?:totals|summary): ([0-9]+)", re.MULTILINE)
_MISSING = (
    "bench-check counts instructions with valgrind. Install it: apt-get install valgrind, or dnf install valgrind."
)


def count() -> dict[str, int]:
    """Instructions of each step, a row."""
    if shutil.which("valgrind") is None:
        raise SystemExit(_MISSING)
    with tempfile.TemporaryDirectory(prefix="rerank-count-") as folder:
        command = [
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--dump-before=getppid",
            f"--callgrind-out-file={folder}/out",
            sys.executable,
            "-s",
            "-P",
            str(_WORK),
        ]
        # Nothing of the caller's: the size of the environment moves the stack, and hashes must not differ.
        environment = {"PATH": os.defpath, "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"The counted script failed:\n{done.stdout}\n{done.stderr}")
        parts = sorted(Path(folder).glob("out.*"), key=lambda part: int(part.suffix[1:]))
        totals = [int(found[1]) for part in parts if (found := _TOTAL.search(part.read_text()))]
    names = done.stdout.splitlines()
    if len(totals) < 2 * len(names):
        raise SystemExit(f"callgrind wrote {len(totals)} parts for {len(names)} steps: does this Python call getppid?")
    # Part 2k ends before step k begins, part 2k + 1 is the step.
    spent = dict(zip(names, totals[1::2], strict=False))
    loop = spent.pop("nothing")
    return {name: round((total - loop) / TIMES) for name, total in spent.items()}


def made_with() -> dict[str, str]:
    """What counts depend on beside our code."""
    return {"python": platform.python_version(), "machine": platform.machine(), "orjson": version("orjson")}


def compared(counts: dict[str, int], committed: dict[str, int]) -> list[str]:
    """Print the table; the names of steps that take too much, or that only one side has."""
    bad = sorted(counts.keys() ^ committed.keys())
    width = max(map(len, counts))
    print(f"{'instructions a row, 20 documents x 500 B'.ljust(width)}  {'committed':>12}  {'now':>12}")
    for name, now in counts.items():
        then = committed.get(name)
        change = f"{100 * (now / then - 1):+7.1f} %" if then else "    new"
        worse = then is not None and now > then * _MAX_RATIO
        print(f"{name.ljust(width)}  {then if then is not None else '':>12}  {now:>12}  {change}{'  WORSE' * worse}")
        if worse:
            bad.append(name)
    return bad


def main() -> int:
    """Count and compare; the exit code is 1 on a regression."""
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the counts to bench/instructions.json")
    arguments = parser.parse_args()
    counts = count()
    document = json.loads(COUNTS.read_text()) if COUNTS.exists() else {"made_with": {}, "counts": {}}
    bad = compared(counts, document["counts"])
    if arguments.update:
        COUNTS.write_text(json.dumps({"made_with": made_with(), "counts": counts}, indent=2) + "\n")
        print(f"Written: {COUNTS.name}")
        return 0
    if document["made_with"] != made_with():
        print(f"Note: the committed counts were made with {document['made_with']}, these with {made_with()}.")
    if bad:
        print(f"Over by more than 10 %, or not counted on both sides: {', '.join(bad)}.")
        print('If that is meant: make bench-check BENCH="--update".')
        return 1
    print("No step takes 10 % more than its committed count.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What was found, as a table on the terminal and as bench/RESULTS.md."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from .record import Curve, Figure, Results, Sizes

_STARTS = 7
_VERDICT = {True: "met", False: "MISSED", None: ""}


def machine(engine_version: str) -> str:
    """The machine in a line, without its name."""
    cpu = Path("/proc/cpuinfo").read_text().partition("model name")[2].partition(":")[2].partition("\n")[0].strip()
    cores = len(os.sched_getaffinity(0))
    ours = ", ".join(f"{name} {version(name)}" for name in ("httptools", "orjson"))
    start_ms = median(_python_start_ms() for _ in range(_STARTS))
    return (
        f"{cpu or platform.machine()}, {cores} cores, Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}, ClickHouse {engine_version} (chDB {version('chdb')}), {ours}; "
        f"here and now, a Python that imports asyncio and ends takes {start_ms:.0f} ms"
    )


def _python_start_ms() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", "import asyncio"], check=True)
    return 1000 * (time.perf_counter() - began)


def terminal(results: Results) -> str:
    """The table of targets."""
    rows = [(f.what, f.measured, f.target, _VERDICT[f.met]) for f in results.figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def markdown(results: Results, sizes: Sizes, machine_line: str, load: float, chart: str) -> str:
    """bench/RESULTS.md."""
    return "\n".join(_lines(results, sizes, machine_line, load, chart)) + "\n"


def _lines(results: Results, sizes: Sizes, machine_line: str, load: float, chart: str) -> Iterator[str]:
    today = datetime.now(UTC).date().isoformat()
    yield from ("# Benchmark results", "")
    yield f"Written by `make bench` on {today}. {machine_line}. Load average before the run: {load:.2f}."
    yield ""
    yield (
        f"Engine, worker, provider and every contestant share these cores. Figures are medians of {sizes.rounds} "
        "rounds in which contestants took turns, each in a fresh process, warmed up with one call."
    )
    yield from ("", "## Targets", "")
    missed = [figure for figure in results.figures if figure.met is False]
    held = sum(figure.met is True for figure in results.figures)
    yield f"{held} met, {len(missed)} missed." + "".join(
        f"\n- Missed: {f.what}: {f.measured} ({f.target})" for f in missed
    )
    yield ""
    yield from _table(("what", "measured", "target", "", "detail"), [_cells(f) for f in results.figures])
    yield from ("", f"![Wall time against the ideal, and the cost along each axis]({chart})", "")
    for contest, contestants in results.contests.items():
        if len(contestants) < 3:
            continue
        yield from (f"## The same work by others, {contest.short_title}", "")
        yield (
            f"{contest.title}, top {contest.work.top_k}; the ideal is rows x latency / in flight = "
            f"{contest.ideal_s:.2f} s."
        )
        yield ""
        ours = contestants[0]
        rows = [
            (
                f"**{one.title}**" if one.ours else one.title,
                f"{one.ratio:.2f}",
                f"{one.ratio / ours.ratio:.2f}",
                f"{one.cpu_ms_per_row:.2f} ms",
            )
            for one in sorted(contestants, key=lambda one: one.ratio)
        ]
        yield from _table(("contestant", "wall time / ideal", "its time / ours", "CPU a row"), rows)
        yield ""
    yield (
        "Rerank's CPU is that of engine and worker together. Serial calls were measured over fewer rows; they and the "
        "slowest client took part in one round."
    )
    yield ""
    yield f"Versions: {', '.join(f'{name} {number}' for name, number in sorted(results.versions.items()))}."
    yield from ("", "## That the provider is not what was measured", "")
    yield (
        "It is one thread on epoll that skips request bodies by their Content-Length and sends prepared answers; its "
        "timer counts in microseconds."
    )
    yield ""
    yield from (f"- {line}" for line in results.provider)
    yield from ("", "## Growth", "")
    for curve in results.curves:
        yield from _curve(curve)


def _cells(figure: Figure) -> tuple[str, ...]:
    return (figure.what, figure.measured, figure.target, _VERDICT[figure.met], figure.detail)


def _curve(curve: Curve) -> Iterator[str]:
    yield f"**{curve.axis}** ({curve.unit}; {curve.note})"
    yield ""
    yield from _table([f"{at:,}" for at, _ in curve.points], [[f"{cost:.3g}" for _, cost in curve.points]])
    yield ""


def _table(heads: tuple[str, ...] | list[str], rows: list[tuple[str, ...]] | list[list[str]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(cell.strip() for cell in row) + " |"

"""The main work, by Rerank in SQL and by what people use today: contestants take turns, a round after the other."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import peers, sql
from .processes import isolated
from .provider import Provider
from .record import Contestant, Figure, Results, Sizes
from .work import Work

_ROOT = Path(__file__).parents[1]
PYTHON = _ROOT / ".venv-bench" / "bin" / "python"
LATENCY_MS = 100
TARGETS = {64: 1.15, 256: 1.5}
OURS = {"JSONEachRow": "Rerank in SQL", "RowBinary": "Rerank in SQL, RowBinary"}
_ONCE = {"serial", "httpx-kept"}
"""So slow that one look is enough."""
Say = Callable[[str], None]


def run(provider: Provider, sizes: Sizes, results: Results, say: Say) -> None:
    """Fill in the contests and their figures."""
    for in_flight, target in TARGETS.items():
        contestants = _contest(provider, sizes, in_flight, results, say)
        results.contests[in_flight] = contestants
        first, *others = contestants
        ratios = ", ".join(f"{ratio:.3f}" for ratio in first.ratios)
        work = sizes.main
        what = f"{work.rows:,} rows x {work.documents} documents x {work.size:,} B in SQL, {LATENCY_MS} ms, {in_flight}"
        results.figures.append(
            Figure(
                f"{what} in flight: wall time / ideal",
                f"{first.ratio:.3f}",
                f"<= {target:g}",
                first.ratio <= target,
                f"rounds: {ratios}",
            )
        )
        for other in others:
            if not other.ours:
                faster = other.ratio / first.ratio
                results.figures.append(
                    Figure(
                        f"  {other.title}, {in_flight} in flight: its time / ours",
                        f"{faster:.2f}",
                        "> 1",
                        faster > 1,
                        f"its wall time / ideal: {other.ratio:.2f}",
                    )
                )


def _contest(provider: Provider, sizes: Sizes, in_flight: int, results: Results, say: Say) -> list[Contestant]:
    url = provider.url(LATENCY_MS, sizes.main.items)
    names = [*OURS, *(peers.PEERS if in_flight in sizes.peer_rounds else ())]
    ratios: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, float] = {}
    for turn in range(sizes.rounds):
        for name in names:
            if turn >= _rounds(name, in_flight, sizes):
                continue
            work = replace(sizes.main, rows=sizes.serial_rows) if name == "serial" else sizes.main
            provider.stats()
            wall_s, cpu_s = (
                isolated(_ours, name, work, url, in_flight)
                if name in OURS
                else _theirs(name, work, url, in_flight, results)
            )
            stats = provider.stats()
            ratio = wall_s / (work.rows * LATENCY_MS / 1000 / in_flight)
            ratios[name].append(ratio)
            cpu[name] = 1000 * cpu_s / work.rows
            say(
                f"{in_flight} in flight, {name}: {ratio:.3f} x ideal, {cpu[name]:.2f} ms of CPU a row; provider: "
                f"{stats['requests']} requests on {stats['connections'] - 1} connections, {stats['most_in_flight']} at "
                f"once, {1000 * stats['cpu_s']:.0f} ms of CPU, {stats['late_us']:.0f} us late"
            )
            if name == "JSONEachRow" and turn == sizes.rounds - 1:
                results.provider.append(
                    f"While Rerank ran with {in_flight} in flight, the provider used {1000 * stats['cpu_s']:.0f} ms of "
                    f"CPU in {wall_s:.2f} s, {100 * stats['cpu_s'] / wall_s:.0f} % of one core, and answered "
                    f"{stats['late_us'] / 1000:.2f} ms later than it should, on average."
                )
    titles = OURS | {name: peer.title for name, peer in peers.PEERS.items()}
    return [Contestant(name, titles[name], name in OURS, ratios[name], cpu[name]) for name in names if ratios[name]]


def _rounds(name: str, in_flight: int, sizes: Sizes) -> int:
    if name in OURS:
        return sizes.rounds
    if name in _ONCE:
        return int(name != "serial" or in_flight == min(TARGETS))
    return sizes.peer_rounds[in_flight]


def _ours(format_name: str, work: Work, url: str, in_flight: int) -> tuple[float, float]:
    with sql.Bench(format_name, in_flight) as bench:
        bench.fill(work)
        bench.rerank(work, url, rows=1)
        run = bench.rerank(work, url)
        return run.wall_s, run.worker_cpu_s + run.engine_cpu_s


def _theirs(name: str, work: Work, url: str, in_flight: int, results: Results) -> tuple[float, float]:
    """A peer, run in the bench environment, with nothing of this process's in its own."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    quiet = {
        "HOME": "/nonexistent",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "NO_PROXY": "*",
    }
    sizes = map(str, (work.rows, work.documents, work.size, in_flight))
    command = [str(PYTHON), "-m", "bench.peers", name, url, *sizes]
    done = subprocess.run(command, cwd=_ROOT, env=kept | quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr.strip()[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    results.versions[peers.PEERS[name].package] = found["version"]
    return found["wall_s"], found["cpu_s"]

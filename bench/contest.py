"""The main work, by Rerank in SQL and by what people use today: contestants take turns, a round after the other."""

from collections.abc import Callable
from dataclasses import replace
from statistics import median

from . import peers, sql
from .processes import BENCH_PYTHON, isolated, printed
from .provider import Provider
from .record import Contest, Contestant, Figure, Results, Sizes
from .work import Work

OURS = {"JSONEachRow": "Rerank in SQL", "RowBinary": "Rerank in SQL, RowBinary"}
_ONCE = {"serial", "httpx-kept"}
"""So slow that one look is enough."""
_CPU_TARGET_MS = 0.28
_PEER_TRIES = 3
"""A client in threads may lose a connection to another thread: such a run says nothing of its speed."""
Say = Callable[[str], None]


def run(provider: Provider, sizes: Sizes, results: Results, say: Say) -> None:
    """Fill in the contests and their figures."""
    for contest in sizes.contests:
        contestants = _contest(provider, sizes, contest, results, say)
        results.contests[contest] = contestants
        first, *others = contestants
        results.figures.append(_figure(contest, first))
        if contest == sizes.contests[0]:
            spent = first.worker_ms_per_row
            what = f"worker time a row, {contest.title}"
            target = (f"<= {_CPU_TARGET_MS} ms", spent <= _CPU_TARGET_MS)
            results.figures.append(Figure(what, f"{spent:.2f} ms", *target, "processor time of the worker process"))
        for other in others:
            if not other.ours:
                faster = other.ratio / first.ratio
                what = f"  {other.title}, {contest.short_title}: its time / ours"
                detail = f"its wall time / ideal: {other.ratio:.2f}"
                results.figures.append(Figure(what, f"{faster:.2f}", "> 1", faster > 1, detail))


def _figure(contest: Contest, first: Contestant) -> Figure:
    """How the contest went for Rerank."""
    if contest.rows_per_s:
        rates = [contest.work.rows / (ratio * contest.ideal_s) for ratio in first.ratios]
        rate = contest.work.rows / (first.ratio * contest.ideal_s)
        detail = "rounds: " + ", ".join(f"{one:,.0f}" for one in rates)
        met = rate >= contest.rows_per_s
        what = f"{contest.title}, one process: rows a second"
        return Figure(what, f"{rate:,.0f}", f">= {contest.rows_per_s:,.0f}", met, detail)
    rounds = ", ".join(f"{ratio:.3f}" for ratio in first.ratios)
    met = first.ratio <= contest.target
    what = f"{contest.title}: wall time / ideal"
    return Figure(what, f"{first.ratio:.3f}", f"<= {contest.target:g}", met, f"rounds: {rounds}")


def _contest(provider: Provider, sizes: Sizes, contest: Contest, results: Results, say: Say) -> list[Contestant]:
    url = provider.url(contest.latency_ms, contest.work.items)
    has_peers = (contest.latency_ms, contest.in_flight) in sizes.peer_rounds
    names = [*OURS, *(peers.PEERS if has_peers else ())]
    ratios: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, float] = {}
    worker_cpu: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(sizes.rounds):
        for name in names:
            if turn >= _rounds(name, contest, sizes):
                continue
            work = replace(contest.work, rows=sizes.serial_rows) if name == "serial" else contest.work
            provider.stats()
            if name in OURS:
                wall_s, cpu_s, worker_s = isolated(_ours, name, work, url, contest.in_flight)
                worker_cpu[name].append(1000 * worker_s / work.rows)
            else:
                wall_s, cpu_s = _theirs(name, work, url, contest.in_flight, results)
            stats = provider.stats()
            ratio = wall_s / (contest.ideal_s * work.rows / contest.work.rows)
            ratios[name].append(ratio)
            cpu[name] = 1000 * cpu_s / work.rows
            say(
                f"{contest.latency_ms} ms, {contest.in_flight} in flight, {name}: {ratio:.3f} x ideal, "
                f"{work.rows / wall_s:,.0f} rows/s, {cpu[name]:.2f} ms of CPU a row; provider: "
                f"{stats['requests']} requests on {stats['connections'] - 1} connections, {stats['most_in_flight']} at "
                f"once, {1000 * stats['cpu_s']:.0f} ms of CPU, {stats['late_us']:.0f} us late"
            )
            if name == "JSONEachRow" and turn == sizes.rounds - 1:
                results.provider.append(
                    f"While Rerank ran with {contest.short_title}, the provider used "
                    f"{1000 * stats['cpu_s']:.0f} ms of CPU in {wall_s:.2f} s, "
                    f"{100 * stats['cpu_s'] / wall_s:.0f} % of one core, and answered "
                    f"{stats['late_us'] / 1000:.2f} ms later than it should, on average."
                )
    titles = OURS | {name: peer.title for name, peer in peers.PEERS.items()}
    return [
        Contestant(
            name,
            titles[name],
            name in OURS,
            ratios[name],
            cpu[name],
            median(worker_cpu[name]) if worker_cpu[name] else 0.0,
        )
        for name in names
        if ratios[name]
    ]


def _rounds(name: str, contest: Contest, sizes: Sizes) -> int:
    if name in OURS:
        return sizes.rounds
    if name in _ONCE:
        return int(name != "serial" or contest == sizes.contests[0])
    return sizes.peer_rounds[contest.latency_ms, contest.in_flight]


def _ours(format_name: str, work: Work, url: str, in_flight: int) -> tuple[float, float, float]:
    with sql.Bench(format_name, in_flight) as bench:
        bench.fill(work)
        bench.rerank(work, url, rows=1)
        run = bench.rerank(work, url)
        return run.wall_s, run.worker_cpu_s + run.engine_cpu_s, run.worker_cpu_s


def _theirs(name: str, work: Work, url: str, in_flight: int, results: Results) -> tuple[float, float]:
    """A peer, run in the bench environment, with nothing of this process's in its own."""
    quiet = {
        "HOME": "/nonexistent",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "NO_PROXY": "*",
    }
    arguments = (name, url, work.rows, work.documents, work.size, in_flight)
    for turn in range(1, _PEER_TRIES + 1):
        try:
            found = printed(BENCH_PYTHON, "bench.peers", *arguments, environment=quiet)
            break
        except RuntimeError:
            if turn == _PEER_TRIES:
                raise
    results.versions[peers.PEERS[name].package] = found["version"]
    return found["wall_s"], found["cpu_s"]

"""100,000 rows through SQL against a provider that is slow, resets, refuses and truncates: all must come out right.

Run by `make chaos`; prints the figures and exits 1 when one is out of its bound.
"""

import argparse
import json
import os
import random
import sys
import threading
import time
import zlib
from pathlib import Path
from struct import pack

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from clickhouse_rerank.commands.embedded_engine import Engine
from provider import Provider, Reply, Request

DOCUMENTS, TOP_K = 5, 2
RESETS, CROWDED, UNAVAILABLE, TRUNCATED = 0.01, 0.01, 0.01, 0.001
LATENCY_S = (0.02, 0.18)
MOST_REQUESTS_PER_ROW = 1.05
MOST_GROWTH_KB = 5 << 10


def score(query: str, document: str) -> float:
    """A score that depends on both texts and is exact as Float32."""
    return zlib.crc32(f"{query}|{document}".encode()) % 65_536 / 65_536


def misbehave(request: Request) -> Reply:
    """The right answer after a while, or one of the faults."""
    asked = request.json
    results = [{"index": i, "relevance_score": score(asked["query"], d)} for i, d in enumerate(asked["documents"])]
    body = json.dumps({"results": results}).encode()
    delay_s = random.uniform(*LATENCY_S)
    roll = random.random()
    for share, fault in (
        (RESETS, Reply(body=body, delay_s=delay_s, reset_after=random.choice((0, 20, 90)))),
        (CROWDED, Reply(429, {"message": "slow down"}, delay_s=delay_s)),
        (UNAVAILABLE, Reply(503, {"message": "try later"}, delay_s=delay_s)),
        (TRUNCATED, Reply(body=body, delay_s=delay_s, close_after=100)),
    ):
        if roll < share:
            return fault
        roll -= share
    return Reply(body=body, delay_s=delay_s)


def expected(number: int) -> list[tuple[int, str, float]]:
    """What the row with this number must give."""
    query = f"question {number}"
    scored = [(i, f"document {number} {i}") for i in range(DOCUMENTS)]
    ranked = sorted(((i, d, score(query, d)) for i, d in scored), key=lambda item: (-item[2], item[0]))
    return ranked[:TOP_K]


def same(got: list[list] | None, wanted: list[tuple[int, str, float]]) -> bool:
    """Whether an answer is the wanted one, its scores compared as Float32."""
    return got is not None and [(i, d, pack("f", s)) for i, d, s in got] == [(i, d, pack("f", s)) for i, d, s in wanted]


class Workers:
    """Memory, descriptors and threads of the worker processes, sampled while the queries run."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, int, int]] = []
        self.settled_from = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            found = [sample for pid in children(os.getpid()) if (sample := measure(pid))]
            if found:
                self.samples.append(max(found))

    def settled(self) -> None:
        """The first query is over. A worker keeps a query's results until its end, so growth counts from here."""
        self.settled_from = self.settled_from or len(self.samples)

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def children(parent: int) -> list[int]:
    """Processes of this parent."""
    found: list[int] = []
    for task in Path(f"/proc/{parent}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def measure(pid: int) -> tuple[int, int, int] | None:
    """(resident KB, open descriptors, threads) of a process, or None when it is gone."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]), len(list(Path(f"/proc/{pid}/fd").iterdir())), int(status["Threads"])
    except (OSError, KeyError):
        return None


def main() -> int:
    """Run the rows; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--per-query", type=int, default=10_000)
    arguments = parser.parse_args()
    if arguments.rows <= arguments.per_query:
        parser.error("--rows must be more than --per-query: memory is compared between queries")
    random.seed(7)
    provider = Provider(misbehave)
    wrong = 0
    began = time.monotonic()
    with Engine(format_name="RowBinary") as engine:
        workers = Workers()
        for first in range(0, arguments.rows, arguments.per_query):
            numbers = range(first, min(first + arguments.per_query, arguments.rows))
            answer = engine.query(
                f"""SELECT number, Rerank('question ' || toString(number),
                        arrayMap(i -> 'document ' || toString(number) || ' ' || toString(i), range({DOCUMENTS})),
                        {TOP_K}, 'Cohere', '{provider.url}', 'key', '') AS ranked
                    FROM numbers({first}, {len(numbers)}) SETTINGS max_threads = 1""",
                "JSONCompactEachRow",
            )
            rows = dict(map(json.loads, answer.splitlines()))
            wrong += sum(not same(rows.get(number), expected(number)) for number in numbers)
            workers.settled()
        workers.stop()
    took_s = time.monotonic() - began
    requests = len(provider.requests)
    provider.close()
    return report(arguments.rows, wrong, requests, took_s, workers)


def report(rows: int, wrong: int, requests: int, took_s: float, workers: Workers) -> int:
    """Print the figures; 1 when one is out of its bound."""
    samples = workers.samples
    memory = [sample[0] for sample in samples[workers.settled_from :]]
    checks = (
        ("rows right", f"{100 * (rows - wrong) / rows:.2f} %", wrong == 0),
        ("requests per row", f"{requests / rows:.4f}", requests / rows <= MOST_REQUESTS_PER_ROW),
        (
            "memory of a worker after a query, growth",
            f"{memory[0]} KB, {max(memory) - memory[0]:+} KB",
            max(memory) - memory[0] <= MOST_GROWTH_KB,
        ),
        ("descriptors, most", str(max(s[1] for s in samples)), max(s[1] for s in samples) <= 64 + 32),
        ("threads, most", str(max(s[2] for s in samples)), max(s[2] for s in samples) <= 8),
    )
    print(f"{rows} rows in {took_s:.1f} s, {rows / took_s:.0f} rows/s")
    for name, figure, good in checks:
        print(f"{'ok  ' if good else 'BAD '}{name}: {figure}")
    return 0 if all(good for _, _, good in checks) else 1


if __name__ == "__main__":
    sys.exit(main())

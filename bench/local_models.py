"""Cross-encoders in the worker, against an ideal loop: the same network, fed with sorted batches that are prepared."""

import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from clickhouse_rerank.commands.embedded_engine import Engine
from clickhouse_rerank.config.models import Model
from clickhouse_rerank.scorers.batches import batches
from clickhouse_rerank.scorers.cross_encoder import load, threads

from . import processes
from .bert_network import BASE, MINILM_L6, TINYBERT_L2, Architecture, make
from .local_library import LIBRARIES
from .processes import isolated
from .provider import Provider
from .record import Figure, Sizes

LIBRARIES_PYTHON = Path(__file__).parent.parent / ".venv-bench-local" / "bin" / "python"
_LONGEST, _SHORTEST = 300, 40
_DOCUMENTS = 50


def local_models(_: Provider, sizes: Sizes) -> Iterator[Figure]:
    """Pairs a second through SQL, beside the ideal."""
    sizes_of = (("TinyBERT-L2", TINYBERT_L2, 1), ("MiniLM-L6", MINILM_L6, 1), ("BERT base", BASE, 10))
    for name, architecture, share in sizes_of:
        rows = max(1, sizes.local_rows // share)
        has_peers = architecture is MINILM_L6 and LIBRARIES_PYTHON.exists()
        ideal_s, wall_s, worker_mb, peers = isolated(_measured, architecture, rows, has_peers)
        pairs = rows * _DOCUMENTS
        ratio = ideal_s / wall_s
        work = f"{rows} rows x {_DOCUMENTS} documents of {_SHORTEST} to {_LONGEST} tokens"
        yield Figure(
            f"{name} in the worker, {work}: pairs a second / an ideal loop",
            f"{ratio:.2f}",
            ">= 0.90",
            ratio >= 0.9,
            f"{pairs / wall_s:,.1f} pairs a second, ideal {pairs / ideal_s:,.1f}; half the processors, fp32; a process "
            f"has {worker_mb:,.0f} MB",
        )
        for library, seconds in peers.items():
            ratio = seconds / wall_s
            yield Figure(
                f"{name}, {work}: {library}'s time / ours",
                f"{ratio:.2f}",
                ">= 1.30",
                ratio >= 1.3,
                f"{pairs / seconds:,.1f} pairs a second on as many threads, a row in a call, 32 pairs in a batch",
            )


def _measured(architecture: Architecture, rows: int, has_peers: bool) -> tuple[float, float, float, dict[str, float]]:
    """(seconds of the ideal loop, seconds in SQL, MB of the worker, seconds of other libraries by name)."""
    with tempfile.TemporaryDirectory(prefix="rerank-bench-") as scratch:
        folder = make(Path(scratch, "data", "clickhouse-rerank", "models", "random"), architecture)
        chance = random.Random(5)
        texts = [
            [_words(chance, chance.randint(_SHORTEST, _LONGEST) - 13) for _ in range(_DOCUMENTS)] for _ in range(rows)
        ]
        queries = [_words(chance, 10) for _ in range(rows)]
        ideal_s = _ideal(folder, queries, texts)
        Path(scratch, "rows.jsonl").write_text(
            "\n".join(json.dumps({"q": query, "d": documents}) for query, documents in zip(queries, texts, strict=True))
        )
        os.environ["XDG_DATA_HOME"] = str(Path(scratch, "data"))
        with Engine() as engine:
            source = f"file('{scratch}/rows.jsonl', 'JSONEachRow', 'q String, d Array(String)')"
            engine.query(f"CREATE TABLE work ENGINE = Memory AS SELECT * FROM {source}")
            engine.query("SELECT CrossEncoderRerank('warm', ['w7'], 1)")
            began = time.perf_counter()
            engine.query("SELECT sum(length(CrossEncoderRerank(q, d, 10))) FROM work SETTINGS max_threads = 1")
            wall_s = time.perf_counter() - began
            worker_mb = max(processes.memory_kb(pid)[0] for pid in processes.workers()) / 1000
        peers = {name: _library_s(name, folder, Path(scratch, "rows.jsonl")) for name in LIBRARIES if has_peers}
    return ideal_s, wall_s, worker_mb, peers


def _library_s(name: str, folder: Path, rows: Path) -> float:
    command = [LIBRARIES_PYTHON, Path(__file__).with_name("local_library.py"), name, folder, rows, str(threads())]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _words(chance: random.Random, count: int) -> str:
    return " ".join(f"w{chance.randint(4, 30_000)}" for _ in range(count))


def _ideal(folder: Path, queries: list[str], texts: list[list[str]]) -> float:
    """Seconds for all pairs, sorted by length over all rows, their tokens known."""
    encoder = load(Model("random", folder))
    pairs = [(query, text) for query, documents in zip(queries, texts, strict=True) for text in documents]
    encodings = encoder.encode(pairs)
    groups = batches(list(map(len, encodings)))
    encoder.scores([encodings[position] for position in groups[0]])
    began = time.perf_counter()
    for group in groups:
        encoder.scores([encodings[position] for position in group])
    return time.perf_counter() - began

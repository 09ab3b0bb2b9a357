"""Cross-encoders in the worker, against an ideal loop: the same network, fed with sorted batches that are prepared."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from clickhouse_rerank.config.models import Model, half_the_processors
from clickhouse_rerank.scorers.batches import batches
from clickhouse_rerank.scorers.cross_encoder import CrossEncoder

from . import processes
from .bert_network import BASE, MINILM_L6, TINYBERT_L2, Architecture
from .local_engine import LocalEngine, Row, texts
from .local_library import LIBRARIES
from .processes import isolated
from .provider import Provider
from .record import Figure, Sizes

LIBRARIES_PYTHON = Path(__file__).parent.parent / ".venv-bench-local" / "bin" / "python"
_LONGEST, _SHORTEST = 300, 40
_DOCUMENTS = 50
_SIZES = (("TinyBERT-L2", TINYBERT_L2, 1), ("MiniLM-L6", MINILM_L6, 1), ("BERT base", BASE, 10))
"""Name, architecture, and by what the number of rows is divided."""


def local_models(_: Provider, sizes: Sizes) -> Iterator[Figure]:
    """Pairs a second through SQL, beside the ideal and others; memory."""
    for name, architecture, share in _SIZES:
        rows = max(1, sizes.local_rows // share)
        work = f"{rows} rows x {_DOCUMENTS} documents of {_SHORTEST} to {_LONGEST} tokens"
        pairs = rows * _DOCUMENTS
        ideal_s, wall_s = isolated(_measured, architecture, rows)
        yield Figure(
            f"{name} in the worker, {work}: pairs a second / an ideal loop",
            f"{ideal_s / wall_s:.2f}",
            ">= 0.90",
            ideal_s / wall_s >= 0.9,
            f"{pairs / wall_s:,.1f} pairs a second, ideal {pairs / ideal_s:,.1f}; half the processors, fp32",
        )
        _, int8_s = isolated(_measured, architecture, rows, int8=True)
        yield Figure(
            f"{name}, the same work: int8 / fp32",
            f"{wall_s / int8_s:.2f}",
            detail=f"{pairs / int8_s:,.1f} pairs a second",
        )
        for kind, int8 in (("fp32", False), ("int8", True)):
            own, shared = isolated(_memory_mb, architecture, int8)
            alone, _ = isolated(_memory_mb, architecture, int8, prepared=False)
            yield Figure(
                f"{name}, {kind}: memory of each process that scores",
                f"{own:,.0f} MB",
                detail=f"and {shared:,.0f} MB that all of them share; {alone:,.0f} MB each if it is not prepared",
            )
        if architecture is MINILM_L6 and LIBRARIES_PYTHON.exists():
            fewer = min(rows, sizes.library_rows)
            for library, seconds in isolated(_libraries_s, architecture, fewer).items():
                ratio = (seconds / fewer) / (wall_s / rows)
                yield Figure(
                    f"{name}, {fewer} of these rows: {library}'s time a pair / ours",
                    f"{ratio:.2f}",
                    ">= 1.30",
                    ratio >= 1.3,
                    f"{fewer * _DOCUMENTS / seconds:,.1f} pairs a second on as many threads, a row in a call, 32 pairs "
                    "in a batch",
                )


def _measured(architecture: Architecture, rows: int, *, int8: bool = False) -> tuple[float, float]:
    """(seconds of the ideal loop, seconds in SQL)."""
    with LocalEngine(architecture, int8=int8) as engine:
        made = texts(rows, _DOCUMENTS, _SHORTEST, _LONGEST)
        ideal_s = 0.0 if int8 else _ideal_s(engine.model, made)
        engine.fill(made)
        wall_s, _ = engine.rank()
    return ideal_s, wall_s


def _memory_mb(architecture: Architecture, int8: bool, *, prepared: bool = True) -> tuple[float, float]:
    """(of its own, shared) of a worker that has scored the longest pairs."""
    with LocalEngine(architecture, int8=int8, prepared=prepared) as engine:
        engine.fill(texts(1, 20, _LONGEST, _LONGEST))
        engine.rank()
        own, shared = max(processes.own_and_shared_kb(pid) for pid in processes.workers())
    return own / 1000, shared / 1000


def _libraries_s(architecture: Architecture, rows: int) -> dict[str, float]:
    """Seconds of each library for these rows."""
    with LocalEngine(architecture, prepared=False) as engine:
        engine.fill(texts(rows, _DOCUMENTS, _SHORTEST, _LONGEST))
        return {name: _library_s(name, engine.model.folder, engine.file) for name in LIBRARIES}


def _library_s(name: str, folder: Path, rows: Path) -> float:
    command = [
        LIBRARIES_PYTHON,
        Path(__file__).with_name("local_library.py"),
        name,
        folder,
        rows,
        str(half_the_processors()),
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _ideal_s(model: Model, rows: Sequence[Row]) -> float:
    """Seconds for all pairs, sorted by length over all rows, their tokens known."""
    encoder = CrossEncoder(model)
    encodings = encoder.encode([(query, text) for query, documents in rows for text in documents])
    groups = batches(list(map(len, encodings)))
    encoder.scores([encodings[position] for position in groups[0]])
    began = time.perf_counter()
    for group in groups:
        encoder.scores([encodings[position] for position in group])
    return time.perf_counter() - began

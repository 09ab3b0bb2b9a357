"""How the cost of a pair grows with rows, documents, tokens and worker processes, for a cross-encoder in the worker."""

from collections.abc import Iterable, Sequence

from . import processes
from .bert_network import MINILM_L6
from .local_engine import LocalEngine, texts
from .processes import isolated
from .provider import Provider
from .record import Curve, Sizes

_TOKENS = 60
_DOCUMENTS = 5
_PROCESSES = (1, 2, 4, 8)


def curves(_: Provider, sizes: Sizes) -> Iterable[Curve]:
    """All of them."""
    most = 10 * sizes.local_rows
    steps = [count for count in (1, 10, 100, 1000) if count <= most]
    unit, model = "ms of worker CPU a pair", "MiniLM-L6, fp32"
    works = [(count, _DOCUMENTS, _TOKENS) for count in steps]
    note = f"{model}, {_DOCUMENTS} documents of {_TOKENS} tokens"
    yield Curve("rows, scored in the worker", unit, isolated(_points, works, 0), note)
    works = [(1, count, _TOKENS) for count in steps]
    yield Curve(
        "documents, scored in the worker", unit, isolated(_points, works, 1), f"{model}, a row of {_TOKENS} tokens"
    )
    works = [(1, min(50, most), count) for count in (16, 32, 64, 128, 256, 512)]
    yield Curve("tokens of a pair, scored in the worker", unit, isolated(_points, works, 2), f"{model}, one row")
    cost, memory = [], []
    for count in _PROCESSES:
        ms, mb = isolated(_shared, count, 2 * sizes.local_rows)
        cost.append((count, ms))
        memory.append((count, mb))
    yield Curve("processes, scoring", unit, cost, f"{note}, {2 * sizes.local_rows} rows; they take turns")
    yield Curve("processes, memory", "MB of all together", memory, f"{model}; weights are shared, and counted once")


def _points(works: Sequence[tuple[int, int, int]], axis: int) -> list[tuple[int, float]]:
    with LocalEngine(MINILM_L6) as engine:
        points = []
        for rows, documents, tokens in works:
            engine.fill(texts(rows, documents, tokens, tokens))
            _, cpu_s = engine.rank()
            points.append(((rows, documents, tokens)[axis], 1000 * cpu_s / (rows * documents)))
    return points


def _shared(count: int, rows: int) -> tuple[float, float]:
    """(ms of processor time a pair, MB of all workers)."""
    with LocalEngine(MINILM_L6) as engine:
        engine.fill(texts(max(rows, count), 1, _TOKENS, _TOKENS), blocks=count)
        engine.rank(count)
        engine.fill(texts(max(rows, count), _DOCUMENTS, _TOKENS, _TOKENS), blocks=count)
        _, cpu_s = engine.rank(count)
        mb = sum(map(processes.proportional_kb, processes.workers())) / 1000
    return 1000 * cpu_s / (max(rows, count) * _DOCUMENTS), mb

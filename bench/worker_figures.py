"""What one worker process costs: processor time beyond HTTP, memory, start."""

from dataclasses import replace
from statistics import median

from clickhouse_rerank.types import Row

from . import processes, sql
from .pipe import Worker
from .processes import isolated
from .provider import Provider
from .record import Figure, Sizes
from .rows import ENCODED, answer_bytes
from .work import KEY, Work

_CODEC_WORK = Work(1000, 20, 500)
_SMALL = Work(1000, 5, 100)


def codec(provider: Provider, sizes: Sizes) -> list[Figure]:
    """Processor time of the real worker for a row when its requests cost nothing."""
    figures = []
    for name in ENCODED:
        chunk, lengths = _codec_chunk(name, sizes.codec_rows)
        took = median(_codec_ms(name, chunk, lengths) for _ in range(sizes.rounds))
        target = ("<= 0.25 ms", took <= 0.25) if name == "JSONEachRow" else ("", None)
        what = f"codec: worker time a row beyond HTTP, {_CODEC_WORK.documents} documents x {_CODEC_WORK.size} B, {name}"
        detail = "the real worker over pipes, its HTTP answered at once; processor time"
        figures.append(Figure(what, f"{took:.3f} ms", *target, detail if target[0] else ""))
    return figures


def _codec_chunk(format_name: str, rows: int) -> tuple[list[bytes], list[int]]:
    """(rows as the engine sends them, lengths of their answers)."""
    work, text = _CODEC_WORK, _CODEC_WORK.corpus
    chunk: list[bytes] = []
    lengths: list[int] = []
    for number in range(rows):
        documents = work.texts(number, text)
        row = Row(work.query("codec", number), documents, work.top_k, "Cohere", "http://127.0.0.1:9/v2/rerank", KEY, "")
        chunk.append(ENCODED[format_name](row))
        lengths.append(answer_bytes(format_name, documents, work.items))
    return chunk, lengths


def _codec_ms(format_name: str, chunk: list[bytes], lengths: list[int]) -> float:
    warm = len(chunk) // 10
    with Worker(format_name, stubbed=True) as worker:
        worker.answers(chunk[:warm], sum(lengths[:warm]))
        before = worker.cpu_s()
        worker.answers(chunk[warm:], sum(lengths[warm:]))
        return 1000 * (worker.cpu_s() - before) / (len(chunk) - warm)


def memory(provider: Provider, sizes: Sizes) -> list[Figure]:
    """Resident memory of one worker over many small rows, and the most it needed for the main work."""
    each = sizes.memory_rows // 10
    url = provider.url(0, _SMALL.items)
    samples = isolated(_memory_kb, replace(_SMALL, rows=each), url, 10)
    main, most = isolated(_memory_of_main_kb, sizes.main, provider.url(10, sizes.main.items))
    warm, growth = samples[0] / 1024, (samples[-1] - samples[0]) / 1024
    work = sizes.main
    return [
        Figure(
            "resident memory of a warm worker",
            f"{warm:.0f} MB",
            "<= 45 MB",
            warm <= 45,
            f"after {each:,} rows of {_SMALL.documents} documents x {_SMALL.size} B",
        ),
        Figure(
            f"its growth over {sizes.memory_rows:,} rows",
            f"{growth:+.1f} MB",
            "<= 5 MB",
            growth <= 5,
            f"10 queries of {each:,} rows: " + ", ".join(f"{kb / 1024:.0f}" for kb in samples),
        ),
        Figure(
            f"resident memory after one chunk of {work.rows:,} rows x {work.documents} documents x {work.size:,} B",
            f"{main / 1024:.0f} MB",
            detail=f"at most {most / 1024:.0f} MB; the chunk is {work.rows * work.documents * work.size / 1e6:.0f} MB",
        ),
    ]


def _memory_kb(work: Work, url: str, queries: int) -> list[int]:
    with sql.Bench() as bench:
        bench.fill(work)
        samples = []
        for _ in range(queries):
            bench.rerank(work, url)
            (worker,) = processes.workers()
            samples.append(processes.memory_kb(worker)[0])
        return samples


def _memory_of_main_kb(work: Work, url: str) -> tuple[int, int]:
    with sql.Bench() as bench:
        bench.fill(work)
        bench.rerank(work, url)
        (worker,) = processes.workers()
        return processes.memory_kb(worker)


def cold_start(provider: Provider, sizes: Sizes) -> list[Figure]:
    """From the start of the launcher until the provider has the first byte of its first request."""
    row = Row("a question", ["one", "two"], 2, "Cohere", f"{provider.url(0, 2)}/v2/rerank", KEY, "")
    took = []
    for _ in range(sizes.cold_starts):
        provider.stats()
        with Worker("JSONEachRow") as worker:
            worker.answers([ENCODED["JSONEachRow"](row)], answer_bytes("JSONEachRow", row.documents, 2))
            took.append(1000 * (provider.stats()["first_byte_at"] - worker.spawned_at))
    middle = median(took)
    detail = f"of {len(took)} starts, {min(took):.0f} to {max(took):.0f} ms"
    return [Figure("cold start until the first request leaves", f"{middle:.0f} ms", "<= 120 ms", middle <= 120, detail)]

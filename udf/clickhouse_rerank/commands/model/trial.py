"""`clickhouse-rerank model check`: scores with a model on this machine, and says how fast that is and what it holds."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from ...config.models import Model, half_the_processors
from ...scorers import network
from ...scorers.batches import batches
from ...scorers.cross_encoder import CrossEncoder
from . import library
from .bring import MB

_QUERY = "how do I reset my password"
_RELEVANT, _OTHER = "To reset your password, open Settings and choose Reset.", "Shipping takes two weeks."
_PAIRS = 64
_WORDS = 60
"""Words of a document with which the speed is measured."""


def check(model: Model) -> Iterator[str]:
    """The lines to print. Errors: MODEL."""
    if changed := library.changed(model.folder):
        yield f"Changed since it was added: {', '.join(changed)}"
    before, began = _memory(), time.perf_counter()
    encoder = CrossEncoder(model)
    yield f"{model.name}: {model.network}, loaded in {time.perf_counter() - began:.2f} s"
    relevant, other = encoder.scores(encoder.encode([(_QUERY, _RELEVANT), (_QUERY, _OTHER)]))
    yield f"{relevant:.4f}  {_QUERY} / {_RELEVANT}"
    yield f"{other:.4f}  {_QUERY} / {_OTHER}"
    words = f"{_RELEVANT} {_OTHER}".split()
    documents = [" ".join(words[(i + j) % len(words)] for j in range(_WORDS)) for i in range(_PAIRS)]
    began = time.perf_counter()
    encodings = encoder.encode([(_QUERY, document) for document in documents])
    for batch in batches(list(map(len, encodings))):
        encoder.scores([encodings[position] for position in batch])
    took = time.perf_counter() - began
    threads = model.threads or half_the_processors()
    speed = f"{_PAIRS / took:,.0f} pairs a second of {len(encodings[0])} tokens"
    yield f"{speed}, on {threads} of {os.cpu_count()} processors"
    own, shared = (now - then for now, then in zip(_memory(), before, strict=True))
    yield f"{own / MB:,.0f} MB of memory in each process that scores, and {shared / MB:,.0f} MB that they share"
    if network.prepared(model) is None:
        yield "Its weights are not shared: it is not prepared for this processor and this onnxruntime."
        yield f"As the user who owns its folder, run: clickhouse-rerank model prepare {model.name}"
    if relevant <= other:
        yield "The pair that answers has no higher score: is this a reranking model, and of this language?"


def _memory() -> tuple[int, int]:
    """Bytes of this process that are its own, and those of files that it has mapped."""
    text = Path("/proc/self/status").read_text("utf-8")
    own, shared = (int(text.split(f"{name}:")[1].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
    return own, shared

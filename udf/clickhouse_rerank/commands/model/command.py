"""`clickhouse-rerank model`: fetches, adds, lists, checks and removes models that score in the worker."""

import argparse
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from ...config.models import Model, unknown, user_folder
from ...config.settings import load
from ...errors import CallerError
from ...scorers import cross_encoder
from ...scorers.batches import batches
from ..console import Console
from . import hub, library
from .library import Library, Origin

_FIRST = "cross-encoder/ms-marco-MiniLM-L6-v2"
"""A small model to begin with."""
_MB = 1e6
_QUERY = "how do I reset my password"
_RELEVANT, _OTHER = "To reset your password, open Settings and choose Reset.", "Shipping takes two weeks."
_PAIRS = 64
_WORDS = 60
"""Words of a document with which the speed is measured."""


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Do what the action says."""
    shelf = Library(arguments.into or user_folder(console.environment))
    match arguments.action:
        case "pull":
            lines = _pull(arguments, shelf)
        case "add":
            lines = _add(arguments, shelf)
        case "list":
            lines = _list(shelf)
        case "check":
            lines = _check(arguments.name, {**shelf.models(), **load(console.environment, embedded=True).models})
        case _:
            lines = _remove(arguments.name, shelf)
    for line in lines:
        console.stdout.write(f"{line}\n")
        console.stdout.flush()
    return 0


def _pull(arguments: argparse.Namespace, shelf: Library) -> Iterator[str]:
    repository = arguments.model
    name = arguments.name or repository.rpartition("/")[2]
    shelf.place(name)
    found = hub.offer(repository, arguments.revision, arguments.file)
    total = sum(found.sizes.values()) / _MB
    yield f"{repository} at {found.revision[:12]}: {found.network}, {total:,.1f} MB, licence {found.licence}"
    staging = shelf.folder / f".{name}.part"
    staging.mkdir(parents=True, exist_ok=True)
    hub.fetch(found, staging)
    source = Model(name, staging, found.network)
    try:
        cross_encoder.load(source)
        model = shelf.add(name, source, Origin(repository, found.revision, licence=found.licence))
    finally:
        shutil.rmtree(staging)
    yield from _added(model)


def _add(arguments: argparse.Namespace, shelf: Library) -> Iterator[str]:
    folder = arguments.folder.absolute()
    name = arguments.name or folder.name
    shelf.place(name)
    source = Model(name, folder, arguments.file)
    cross_encoder.load(source)
    yield from _added(shelf.add(name, source, Origin(str(folder))))


def _added(model: Model) -> Iterator[str]:
    yield f"Added {model.name}: {model.folder}, {library.size(model.folder) / _MB:,.1f} MB"
    yield f"To see its speed: clickhouse-rerank model check {model.name}"
    yield "For a server, in its config.toml:"
    yield f"[models.{model.name}]"
    yield f'path = "{model.folder}"'


def _list(shelf: Library) -> Iterator[str]:
    found = shelf.models()
    if not found:
        yield f"{shelf.folder} has no models. To fetch one: clickhouse-rerank model pull {_FIRST}"
    for name, model in found.items():
        origin = library.origin(model.folder)
        source = f"{origin.source}@{origin.revision[:12]}" if origin.revision else origin.source or "by hand"
        licence = f", licence {origin.licence}" if origin.licence else ""
        yield f"{name}  {library.size(model.folder) / _MB:,.1f} MB  {source}{licence}"


def _check(name: str, models: dict[str, Model]) -> Iterator[str]:
    model = models.get(name)
    if model is None:
        raise CallerError("BAD_ARGUMENT", unknown(name, models))
    if changed := library.changed(model.folder):
        yield f"Changed since it was added: {', '.join(changed)}"
    before_mb, began = _resident_mb(), time.perf_counter()
    encoder = cross_encoder.load(model)
    yield f"{name}: {model.network}, loaded in {time.perf_counter() - began:.2f} s"
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
    threads = model.threads or cross_encoder.threads()
    speed = f"{_PAIRS / took:,.0f} pairs a second of {len(encodings[0])} tokens"
    yield f"{speed}, on {threads} of {os.cpu_count()} processors"
    yield f"{_resident_mb() - before_mb:,.0f} MB of memory in each process that scores"
    if relevant <= other:
        yield "The pair that answers has no higher score: is this a reranking model, and of this language?"


def _remove(name: str, shelf: Library) -> Iterator[str]:
    shelf.remove(name)
    yield f"Removed {shelf.folder / name}"


def _resident_mb() -> float:
    """Memory of this process."""
    text = Path("/proc/self/status").read_text("utf-8")
    return int(text.split("VmRSS:")[1].split()[0]) / 1000

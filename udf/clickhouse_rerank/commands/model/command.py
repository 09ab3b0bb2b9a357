"""`clickhouse-rerank model`: fetches, adds, prepares, lists, checks and removes models that score in the worker."""

import argparse
from collections.abc import Iterator

from ...config.models import Model, unknown, user_folder
from ...config.settings import load
from ...errors import CallerError
from ...scorers import network
from ..console import Console
from . import bring, library, trial
from .library import Library

_FIRST = "cross-encoder/ms-marco-MiniLM-L6-v2"
"""A small model to begin with."""


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Do what the action says."""
    shelf = Library(arguments.into or user_folder(console.environment))
    bringer = bring.Bringer(shelf, console.say)
    match arguments.action:
        case "pull":
            lines = _brought(bringer.pull(arguments.model, arguments.name, arguments.revision, arguments.file))
        case "add":
            lines = _brought(bringer.add(arguments.folder, arguments.name, arguments.file))
        case "list":
            lines = _list(shelf)
        case "remove":
            lines = _remove(arguments.name, shelf)
        case action:
            models = {**shelf.models(), **load(console.environment, embedded=True).models}
            model = models.get(arguments.name)
            if model is None:
                raise CallerError("BAD_ARGUMENT", unknown(arguments.name, models))
            lines = trial.check(model) if action == "check" else _prepare(model)
    for line in lines:
        console.say(line)
    return 0


def _brought(model: Model) -> Iterator[str]:
    yield f"To see its speed: clickhouse-rerank model check {model.name}"
    yield "For a server, in its config.toml:"
    yield bring.table(model)


def _prepare(model: Model) -> Iterator[str]:
    folder = network.prepare(model).parent
    yield f"Prepared {model.name}: {folder}, {library.size(folder) / bring.MB:,.1f} MB"


def _list(shelf: Library) -> Iterator[str]:
    found = shelf.models()
    if not found:
        yield f"{shelf.folder} has no models. To fetch one: clickhouse-rerank model pull {_FIRST}"
    for name, model in found.items():
        origin = library.origin(model.folder)
        source = f"{origin.source}@{origin.revision[:12]}" if origin.revision else origin.source or "by hand"
        licence = f", licence {origin.licence}" if origin.licence else ""
        yield f"{name}  {library.size(model.folder) / bring.MB:,.1f} MB  {source}{licence}"


def _remove(name: str, shelf: Library) -> Iterator[str]:
    shelf.remove(name)
    yield f"Removed {shelf.folder / name}"

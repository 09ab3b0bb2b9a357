"""Brings a model into a library, from the hub or from a folder.

Functions here yield the lines to print, and return the model.
"""

import json
import re
import shutil
from collections.abc import Generator
from pathlib import Path

from ...config.models import Model
from ...scorers import network
from ...scorers.cross_encoder import CrossEncoder
from . import hub, library
from .library import Library, Origin

MB = 1e6
"""Bytes."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
"""A key that TOML takes without quotes."""


def pull(
    shelf: Library, repository: str, name: str = "", revision: str = "", file: str = ""
) -> Generator[str, None, Model]:
    """Fetch a model from the hub; what an earlier call has fetched of it is not fetched again. Errors: MODEL."""
    name = name or repository.rpartition("/")[2]
    shelf.place(name)
    found = hub.offer(repository, revision, file)
    total = sum(found.sizes.values()) / MB
    yield f"{repository} at {found.revision[:12]}: {found.network}, {total:,.1f} MB, licence {found.licence}"
    staging = shelf.staging(name, found.revision)
    hub.fetch(found, staging)
    origin = Origin(repository, found.revision, licence=found.licence)
    try:
        return (yield from _added(shelf, name, Model(name, staging, found.network), origin))
    finally:
        shutil.rmtree(staging.parent)


def add(shelf: Library, folder: Path, name: str = "", file: str = "") -> Generator[str, None, Model]:
    """Copy a model from a folder. Errors: MODEL."""
    folder = folder.absolute()
    name = name or folder.name
    shelf.place(name)
    return (yield from _added(shelf, name, Model(name, folder, file), Origin(str(folder))))


def table(model: Model) -> str:
    """The lines of a configuration that name a model."""
    key = model.name if _BARE_KEY.fullmatch(model.name) else json.dumps(model.name)
    return f"[models.{key}]\npath = {json.dumps(str(model.folder))}"


def _added(shelf: Library, name: str, source: Model, origin: Origin) -> Generator[str, None, Model]:
    CrossEncoder(source)
    model = shelf.add(name, source, origin)
    yield f"Added {name}: {model.folder}, {library.size(model.folder) / MB:,.1f} MB"
    network.prepare(model)
    return model

"""Brings a model into a library, from the hub or from a folder."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Bringer:
    """Brings models into a library."""

    shelf: Library
    say: Callable[[str], None]
    """Prints a line about a step."""

    def pull(self, repository: str, name: str = "", revision: str = "", file: str = "") -> Model:
        """Fetch a model from the hub; what an earlier call has fetched of it is not fetched again. Errors: MODEL."""
        name = name or repository.rpartition("/")[2]
        self.shelf.place(name)
        found = hub.offer(repository, revision, file)
        total = sum(found.sizes.values()) / MB
        self.say(f"{repository} at {found.revision[:12]}: {found.network}, {total:,.1f} MB, licence {found.licence}")
        staging = self.shelf.staging(name, found.revision)
        hub.fetch(found, staging)
        origin = Origin(repository, found.revision, licence=found.licence)
        try:
            return self._added(name, Model(name, staging, found.network), origin)
        finally:
            shutil.rmtree(staging.parent)

    def add(self, folder: Path, name: str = "", file: str = "") -> Model:
        """Copy a model from a folder. Errors: MODEL."""
        folder = folder.absolute()
        name = name or folder.name
        self.shelf.place(name)
        return self._added(name, Model(name, folder, file), Origin(str(folder)))

    def _added(self, name: str, source: Model, origin: Origin) -> Model:
        CrossEncoder(source)
        model = self.shelf.add(name, source, origin)
        self.say(f"Added {name}: {model.folder}, {library.size(model.folder) / MB:,.1f} MB")
        network.prepare(model)
        return model


def table(model: Model) -> str:
    """The lines of a configuration that name a model."""
    key = model.name if _BARE_KEY.fullmatch(model.name) else json.dumps(model.name)
    return f"[models.{key}]\npath = {json.dumps(str(model.folder))}"

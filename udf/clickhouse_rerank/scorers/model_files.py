"""The files of a model: which may be read, and the sentence for a model that cannot score."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config.models import Model
from ..errors import ProviderFailedError
from ..types import printable

MAX_QUOTED = 200
"""Characters of a foreign text in an error."""


def inside(model: Model, path: Path) -> Path:
    """The path, if it is a file inside the model's folder. Errors: MODEL."""
    name = path.relative_to(model.folder)
    if not path.is_file():
        raise failed(model.name, f"has no file {name} in {model.folder}")
    if not path.resolve().is_relative_to(model.folder.resolve()):
        raise failed(model.name, f"has a file {name} that leads out of {model.folder}")
    return path


def json_object(model: Model, name: str) -> Mapping[str, Any]:
    """The JSON object in a file of the model's folder. Errors: MODEL."""
    path = inside(model, model.folder / name)
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise failed(model.name, f"has a file {name} that cannot be read", error) from None
    if not isinstance(found, dict):
        raise failed(model.name, f"has a file {name} that is no JSON object")
    return found


def failed(name: str, what: str, error: Exception | None = None) -> ProviderFailedError:
    """The error for the model of this name."""
    detail = f" ({printable(str(error))[:MAX_QUOTED]})" if error else ""
    return ProviderFailedError(
        "MODEL", f"The model {name} {what}{detail}. clickhouse-rerank model check {name} says more."
    )


def missing(package: str) -> ProviderFailedError:
    """The error for a package that is not installed."""
    return ProviderFailedError(
        "MODEL",
        f"CrossEncoder needs the package {package}, which the worker's Python does not have. Run with that Python: "
        "pip install 'clickhouse-rerank[local]'.",
    )

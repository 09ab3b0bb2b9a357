"""The server's own models: a [models.NAME] table of the configuration -> Model; the models in a user's folder.

SQL names a model and never a path: which files a worker reads is the operator's to say.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..types import did_you_mean
from . import schema
from .schema import FLAG, FOLDER, POSITIVE_INTEGER, TEXT, setting, wrong

NETWORK_FILES = ("onnx/model.onnx", "model.onnx")
"""Where a model's network is if its table does not say, relative to its folder; the first that exists."""
FILES = ("tokenizer.json", "config.json")
"""What a model's folder has beside the network."""


@dataclass(frozen=True, slots=True)
class ModelTable:
    """A [models.NAME] table as the file has it; None for a key that it leaves out."""

    path: str | None = setting(
        None, FOLDER, "The folder of the model, with its ONNX file, tokenizer.json and config.json"
    )
    file: str | None = setting(
        None, TEXT, "The ONNX file, relative to the folder; without it, onnx/model.onnx or model.onnx"
    )
    threads: int | None = setting(
        None,
        POSITIVE_INTEGER,
        "Threads that score, for all processes together; without it, half the processors",
        "threads",
    )
    max_tokens: int | None = setting(
        None,
        POSITIVE_INTEGER,
        "Longest pair of query and document; a longer one is cut. At most the model's own limit",
        "tokens",
    )
    default: bool = setting(
        False, FLAG, "Whether this model scores if SQL names none; the only model needs no such key"
    )


@dataclass(frozen=True, slots=True)
class Model:
    """A model that scores in the worker."""

    name: str
    folder: Path
    file: str = ""
    """The network's file, relative to the folder; "" for the first of NETWORK_FILES."""
    threads: int = 0
    """0 for half the processors."""
    max_tokens: int = 0
    """0 for the model's own limit."""
    default: bool = False

    @property
    def network(self) -> Path:
        """The network's file, which may not exist."""
        names = (self.file,) if self.file else NETWORK_FILES
        return next((self.folder / name for name in names if (self.folder / name).exists()), self.folder / names[0])

    @property
    def network_files(self) -> list[Path]:
        """The network's file, and those beside it with its weights."""
        network = self.network
        try:
            beside = data_files(network.name, sorted(path.name for path in network.parent.iterdir()))
        except OSError:
            beside = []
        return [network, *(network.parent / name for name in beside)]

    @property
    def stamp(self) -> str:
        """What changes when a file of the model is replaced; "" for a file that is not there."""
        stamps = []
        for path in (*self.network_files, *(self.folder / name for name in FILES)):
            try:
                status = path.stat()
            except OSError:
                stamps.append("")
            else:
                stamps.append(f"{path} {status.st_ino} {status.st_size} {status.st_mtime_ns}")
        return f"{'|'.join(stamps)} {self.max_tokens}"


def half_the_processors() -> int:
    """How many are half the processors of this process, at least one; the others are left to the server."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def parse(name: str, value: object, where: str) -> Model:
    """A [models.NAME] table -> Model; errors: CONFIG."""
    table = schema.parse(ModelTable, value, where)
    if not table.path:
        raise wrong(where, "needs path, the folder of the model.")
    if table.file is not None and (Path(table.file).is_absolute() or ".." in Path(table.file).parts or not table.file):
        raise wrong(where, "file must be a name inside the folder, such as onnx/model.onnx.")
    return Model(name, Path(table.path), table.file or "", table.threads or 0, table.max_tokens or 0, table.default)


def check_defaults(models: Mapping[str, Model], where: str) -> None:
    """Errors: CONFIG for two default models."""
    defaults = [model.name for model in models.values() if model.default]
    if len(defaults) > 1:
        raise wrong(where, f"has {len(defaults)} default models, {', '.join(sorted(defaults))}. Keep one.")


def user_folder(environment: Mapping[str, str]) -> Path:
    """Where a user's own models are, by the XDG convention."""
    data = environment.get("XDG_DATA_HOME") or ""
    share = Path(data) if Path(data).is_absolute() else Path(environment.get("HOME") or "/", ".local", "share")
    return share / "clickhouse-rerank" / "models"


def in_folder(folder: Path) -> dict[str, Model]:
    """The models in a folder, by the names of their own folders."""
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        names = sorted(entry.name for entry in entries if (entry / "tokenizer.json").is_file())
    except OSError:
        names = []
    return {name: Model(name, folder / name) for name in names}


def data_files(network: str, names: Iterable[str]) -> list[str]:
    """Of the names, those of files with the weights of a network: model.onnx_data, model.onnx.data."""
    return [name for name in names if re.fullmatch(rf"{re.escape(network)}[._]data(?:_\d+)?", name)]


def unknown(name: str, models: Mapping[str, Model]) -> str:
    """The sentence for a model that does not exist, or for no model."""
    add = "An operator adds a model by [models.NAME] in the configuration; clickhouse-rerank model pull fetches one"
    if not models:
        return f"There is no model on this server. {add}."
    known = f"Known: {', '.join(sorted(models))}."
    if not name:
        return f"Name one of the server's models in others.model. {known}"
    return f"There is no model {name[:60]!r}.{did_you_mean(name, models)} {known} {add}."

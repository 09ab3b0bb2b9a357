"""A folder of models: each a folder with onnx/model.onnx, tokenizer.json, config.json and a note of its origin."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ...config.models import FILES, Model, in_folder
from ...errors import CallerError

OPTIONAL_FILES = ("tokenizer_config.json",)
_NOTE = "clickhouse-rerank.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model is from, and what its files were then."""

    source: str = ""
    revision: str = ""
    file: str = ""
    licence: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """File, relative to the model's folder -> SHA-256 of its bytes, in hexadecimal digits."""


class Library:
    """The models in one folder, which may not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def models(self) -> dict[str, Model]:
        """The models by name."""
        return in_folder(self.folder)

    def place(self, name: str) -> Path:
        """The folder of a model with this name. Errors: BAD_ARGUMENT for a name that is no folder's."""
        if not _NAME.fullmatch(name):
            raise CallerError(
                "BAD_ARGUMENT", f"{name[:60]!r} cannot be a model's name. Use letters, digits, . _ and -."
            )
        return self.folder / name

    def add(self, name: str, source: Model, origin: Origin) -> Model:
        """Copy a model's files into the library, in place of a model of that name."""
        place = self.place(name)
        made = self.folder / f".{name}.new"
        shutil.rmtree(made, ignore_errors=True)
        (made / "onnx").mkdir(parents=True)
        sums = {}
        for path, copy in _files(source):
            shutil.copyfile(path, made / copy)
            sums[copy] = sha256(made / copy)
        note = asdict(origin) | {"sha256": sums, "file": str(source.network.relative_to(source.folder))}
        (made / _NOTE).write_text(json.dumps(note, indent=1) + "\n", "utf-8")
        if place.exists():
            old = self.folder / f".{name}.old"
            shutil.rmtree(old, ignore_errors=True)
            place.rename(old)
            made.rename(place)
            shutil.rmtree(old)
        else:
            made.rename(place)
        return Model(name, place)

    def staging(self, name: str, revision: str) -> Path:
        """The folder for the files of a model on their way; it has those of this revision that came earlier."""
        parent = self.folder / f".{name}.part"
        folder = parent / revision
        folder.mkdir(parents=True, exist_ok=True)
        for other in parent.iterdir():
            if other != folder:
                shutil.rmtree(other)
        return folder

    def remove(self, name: str) -> None:
        """Remove a model. Errors: BAD_ARGUMENT if the library has no model of this name."""
        place = self.place(name)
        if name not in self.models():
            known = ", ".join(self.models()) or "none"
            raise CallerError("BAD_ARGUMENT", f"{self.folder} has no model {name}. It has: {known}.")
        shutil.rmtree(place)


def origin(folder: Path) -> Origin:
    """What is noted in a model's folder; empty if nothing is."""
    try:
        found = json.loads((folder / _NOTE).read_bytes())
        return Origin(**found)
    except (OSError, ValueError, TypeError):
        return Origin()


def changed(folder: Path) -> list[str]:
    """The files whose bytes are not those that were noted."""
    noted = origin(folder).sha256
    return [name for name, known in noted.items() if not (folder / name).is_file() or sha256(folder / name) != known]


def size(folder: Path) -> int:
    """Bytes of a model's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(model: Model) -> Iterator[tuple[Path, str]]:
    """(file of a model, its name in the library)."""
    network, *weights = model.network_files
    yield network, "onnx/model.onnx"
    for path in weights:
        yield path, f"onnx/{path.name}"
    for name in (*FILES, *OPTIONAL_FILES):
        if name in FILES or (model.folder / name).is_file():
            yield model.folder / name, name

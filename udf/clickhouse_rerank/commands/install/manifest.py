"""Where an installation is, and what it noted of itself.

A record beside the registration holds the digests of what was written and the folders that were made. A file is the
installation's while it is as the record says; any other is the operator's. The server's user may be able to write the
record: it says what is known of paths, and never leads to one.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ...config.schema import wrong
from ...engine.formats import FORMATS
from .. import masking
from . import artifacts
from .artifacts import File

RECORD = "rerank_installed.json"
_MOST_BYTES = 1 << 20
_OURS = frozenset((artifacts.LAUNCHER, artifacts.REGISTRATION, masking.FILE))


class Places(NamedTuple):
    """Where an installation is: the three folders of a server, as absolute paths."""

    user_scripts: Path
    config_dir: Path
    config: Path
    """The configuration of Rerank, a file."""

    @property
    def embedded(self) -> bool:
        """One folder for both is chDB's udf_path: no server reads rules or a configuration for it."""
        return self.user_scripts == self.config_dir

    @property
    def launcher(self) -> Path:
        """The command of the registration."""
        return self.user_scripts / artifacts.LAUNCHER

    @property
    def registration(self) -> Path:
        """What makes the server know the function."""
        return self.config_dir / artifacts.REGISTRATION

    @property
    def rules(self) -> Path:
        """query_masking_rules."""
        return self.config_dir / "config.d" / masking.FILE

    @property
    def record(self) -> Path:
        """What was written, for the next `install` and for `uninstall`."""
        return self.config_dir / RECORD

    def files(self) -> tuple[Path, ...]:
        """All but the record, in the order in which they are put."""
        if self.embedded:
            return self.launcher, self.registration
        return self.launcher, self.config, self.rules, self.registration

    def folders(self) -> list[Path]:
        """All above the files, from the top."""
        return sorted({folder for path in self.files() for folder in path.parents})


@dataclass(frozen=True, slots=True)
class Record:
    """What an `install` noted."""

    version: str
    format: str
    pool_size: int
    digests: Mapping[str, Sequence[str]]
    """Path -> the texts that the file may have and still be the installation's."""
    folders: Sequence[str]
    """Those that were made."""

    def owns(self, path: Path, text: bytes) -> bool:
        """Whether a file is as it was written."""
        return digest(text) in self.digests.get(str(path), ())

    def elsewhere(self, places: Places) -> Sequence[Path]:
        """Files by our names, or configurations, in other places that are as they were written."""
        known = places.files()
        ours = (path for path in map(Path, self.digests) if path.name in _OURS or path.suffix == ".toml")
        others = (path for path in ours if path not in known)
        return [path for path in others if path.is_file() and self.owns(path, content(path))]

    def file(self, places: Places) -> File:
        """Where it is kept."""
        return File(places.record, json.dumps(asdict(self), indent=2) + "\n", 0o644)


def read(places: Places) -> Record | None:
    """The record of an installation, None without one; errors: CONFIG for a damaged one, OSError."""
    try:
        record = Record(**json.loads(content(places.record)))
        texts = [record.version, record.format, *record.folders, *chain(*record.digests.values())]
        if type(record.pool_size) is not int or record.format not in FORMATS or not all(map(_is_text, texts)):
            raise TypeError
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise wrong(
            str(places.record), "is damaged. Remove it, and after that the files that are named as in the way."
        ) from None
    return record


def content(path: Path) -> bytes:
    """What is in a file. Errors: CONFIG for what is no plain one, such as a pipe or a link; OSError.

    The folder may belong to the server's user, and this run as root.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise wrong(str(path), "is a link. Move it away.") from None
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise wrong(str(path), "is no plain file. Move it away.")
        return file.read(_MOST_BYTES)


def digest(text: bytes) -> str:
    """What the record keeps of a file."""
    return hashlib.sha256(text).hexdigest()


def _is_text(value: object) -> bool:
    return isinstance(value, str)

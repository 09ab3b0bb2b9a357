"""Where an installation is, and what it noted of itself.

A record beside the registration holds the digests of what was written and the folders that were made. A file is the
installation's while it is as the record says; any other is the operator's. The server's user may be able to write the
record: it says what is known of paths, and never leads to one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from .. import install, masking
from ..credentials import wrong
from ..formats import FORMATS
from ..install import File

RECORD = "rerank_installed.json"


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
        return self.user_scripts / install.LAUNCHER

    @property
    def registration(self) -> Path:
        """What makes the server know the function."""
        return self.config_dir / install.REGISTRATION

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

    def file(self, places: Places) -> File:
        """Where it is kept."""
        return File(places.record, json.dumps(asdict(self), indent=2) + "\n", 0o644)


def read(places: Places) -> Record | None:
    """The record of an installation, None without one; errors: CONFIG for a damaged one, OSError."""
    try:
        record = Record(**json.loads(places.record.read_text("utf-8")))
        texts = [record.version, record.format, *record.folders, *chain(*record.digests.values())]
        if type(record.pool_size) is not int or record.format not in FORMATS or not all(map(_is_text, texts)):
            raise TypeError
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError):
        raise wrong(
            str(places.record), "is damaged. Remove it, and after that the files that are named as in the way."
        ) from None
    return record


def digest(text: bytes) -> str:
    """What the record keeps of a file."""
    return hashlib.sha256(text).hexdigest()


def _is_text(value: object) -> bool:
    return isinstance(value, str)

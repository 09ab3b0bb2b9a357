"""The manifest of an installation: a file beside the registration that says what `install` wrote.

The manifest holds the digests of the files that were written and the folders that were made. A file belongs to the
installation while its digest is in the manifest; any other file belongs to the operator. The server's user may be able
to write the manifest. So paths come from the options, and a path from the manifest counts only for a file with a name
that `install` gives and with a recorded digest.
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

from ...config.schema import wrong
from ...engine.formats import FORMATS
from .. import masking
from . import artifacts
from .artifacts import File
from .paths import InstallPaths

_MAX_BYTES = 1 << 20
_INSTALLED_NAMES = frozenset((artifacts.LAUNCHER, artifacts.REGISTRATION, masking.FILE))


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of the manifest; the field names are the keys of the JSON file."""

    version: str
    format: str
    pool_size: int
    digests: Mapping[str, Sequence[str]]
    """Path -> digests of the contents with which the file still belongs to the installation."""
    folders: Sequence[str]
    """The folders that were made."""

    def owns(self, path: Path, content: bytes) -> bool:
        """Whether a file with this content is as `install` wrote it."""
        return digest(content) in self.digests.get(str(path), ())

    def files_elsewhere(self, paths: InstallPaths) -> Sequence[Path]:
        """Unchanged files of the installation that are not among these paths.

        Only files with a name that `install` gives count, and configurations, which may have any name in .toml.
        """
        current = paths.files()
        named = (path for path in map(Path, self.digests) if path.name in _INSTALLED_NAMES or path.suffix == ".toml")
        others = (path for path in named if path not in current)
        return [path for path in others if path.is_file() and self.owns(path, read_regular_file(path))]

    def as_file(self, paths: InstallPaths) -> File:
        """The file to write."""
        return File(paths.manifest, json.dumps(asdict(self), indent=2) + "\n", 0o644)


def read_manifest(paths: InstallPaths) -> Manifest | None:
    """The manifest of an installation, None if there is none. Errors: CONFIG for a damaged one, OSError."""
    try:
        manifest = Manifest(**json.loads(read_regular_file(paths.manifest)))
        texts = [manifest.version, manifest.format, *manifest.folders, *chain(*manifest.digests.values())]
        if type(manifest.pool_size) is not int or manifest.format not in FORMATS or not all(map(_is_text, texts)):
            raise TypeError
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise wrong(
            str(paths.manifest),
            "is damaged. Remove it and run install; move away each file that install then reports as kept.",
        ) from None
    return manifest


def read_regular_file(path: Path) -> bytes:
    """The content of a file. Errors: CONFIG for a symbolic link, a pipe or anything else but a regular file; OSError.

    The folder may belong to the server's user while root runs this: that user must not choose what root reads.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise wrong(str(path), "is a symbolic link. Move it away.") from None
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise wrong(str(path), "is not a regular file. Move it away.")
        return file.read(_MAX_BYTES)


def digest(content: bytes) -> str:
    """The digest by which the manifest knows a content."""
    return hashlib.sha256(content).hexdigest()


def _is_text(value: object) -> bool:
    return isinstance(value, str)

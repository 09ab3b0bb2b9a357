"""A score file as a dry run sees it: read, and never written."""

from collections.abc import Mapping, Sequence

from .sqlite_file import ScoreFile


class ShadowedFile:
    """The values of a file, and in memory those that the dry run would have put there."""

    def __init__(self, file: ScoreFile) -> None:
        self._file = file
        self._put: dict[bytes, bytes] = {}

    @property
    def secret(self) -> bytes:
        """Key of the hashes that are the keys of the file."""
        return self._file.secret

    def is_usable(self) -> bool:
        """Whether the file can be read now."""
        return self._file.is_usable()

    def get(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The values of these keys that are known."""
        return {**self._file.get(keys), **{key: self._put[key] for key in keys if key in self._put}}

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values for this process."""
        self._put.update(values)

    def flush(self) -> None:
        """Nothing is pending."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

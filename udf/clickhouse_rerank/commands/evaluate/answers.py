"""The answers of a ranker that are already there, in a file for each ranker.

An evaluation that was interrupted goes on from it, and a second one, with one more ranker or one more question, asks
only for what is new. Nothing of a question or document is in the file but a hash.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from ...config.private_folder import make_private_folder


@dataclass(frozen=True, slots=True)
class Answer:
    """What a ranker said about one question."""

    indexes: tuple[int, ...] = ()
    """Of the candidates, best first."""
    scores: tuple[float | None, ...] = ()
    seconds: float = 0.0
    billed: tuple[tuple[str, str, float, float, int], ...] = ()
    """(provider, model, search units, tokens, answered requests) of each endpoint that answered."""
    documents: int = 0
    """Documents to score."""
    cached: int = 0
    """Of these, documents whose scores were in the cache."""
    is_degraded: bool = False
    error: str = ""


def folder(environment: Mapping[str, str]) -> Path:
    """Where answers are kept, by the XDG convention."""
    cache = environment.get("XDG_CACHE_HOME") or ""
    own = Path(cache) if Path(cache).is_absolute() else Path(environment.get("HOME") or "/", ".cache")
    return own / "clickhouse-rerank" / "evaluate"


class Answers:
    """The answers of one ranker, by the hash of a question and its candidates. Errors: OSError."""

    def __init__(self, path: Path, *, is_fresh: bool) -> None:
        """is_fresh: forget what is there."""
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        try:
            make_private_folder(path.parent)
        except ValueError as error:
            raise PermissionError(13, str(error), str(path.parent)) from None
        self._found: dict[str, Answer] = {}
        self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b", buffering=0)
        if is_fresh:
            self._file.truncate()
        data = self._file.read()
        for line in data.splitlines():
            self._read(line)
        if data and not data.endswith(b"\n"):
            self._file.write(b"\n")  # the process was killed while it wrote the last line

    def _read(self, line: bytes) -> None:
        try:
            digest, found = json.loads(line)
            found["billed"] = tuple(map(tuple, found["billed"]))
            self._found[digest] = Answer(**found | {name: tuple(found[name]) for name in ("indexes", "scores")})
        except (ValueError, TypeError, KeyError):
            return

    def get(self, digest: str) -> Answer | None:
        """The answer to a question."""
        return self._found.get(digest)

    def put(self, digest: str, answer: Answer) -> None:
        """Keep an answer; one with an error only until the process ends, so that the next run asks again."""
        self._found[digest] = answer
        if not answer.error:
            self._file.write(json.dumps([digest, asdict(answer)]).encode() + b"\n")

    def close(self) -> None:
        self._file.close()

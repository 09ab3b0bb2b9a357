"""Keys of the server's: a [credentials.NAME] table of the configuration -> Credential; files that hold keys.

A file with a key in it that every user of the machine may read or write is refused, wherever it is named.
"""

import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ..errors import CallerError
from ..providers import PROVIDERS
from ..types import Secret
from .schema import Key

KEYS: Mapping[str, Key] = {
    "provider": Key(str, "The provider whose key this is"),
    "api_key": Key(str, "The key itself; then nobody but the server's user and root may read this file"),
    "api_key_file": Key(str, "A file with the key, which may change while the server runs"),
    "api_key_env": Key(str, "A variable of the server's environment with the key, read when a worker starts"),
    "aws_identity": Key(
        str, 'In place of a key, "server": requests are signed as the server\'s own AWS role, profile or variables'
    ),
    "base_url": Key(str, "The only place that the key is sent to; without it, the provider's default URL"),
    "default": Key(bool, "Whether an empty api_key in SQL, and so the wrapper, means this one", default=False),
    "model": Key(str, "The model where SQL names none"),
    "others": Key(dict, "What holds of others where SQL says nothing else; regions, projects and the like only here"),
    "requests_per_minute": Key(int, "Requests that all processes of the server may send with it", "a minute"),
    "documents_per_minute": Key(int, "Documents that all processes of the server may send with it", "a minute"),
}
"""The keys of a [credentials.NAME] table."""
_TYPE_NAMES = {str: "a string", bool: "true or false", dict: "a table", int: "a positive integer"}
_GRACE_S = 60.0


@dataclass(frozen=True, slots=True)
class Credential:
    """A key of the server's, and the only place it may go to."""

    name: str
    provider: str
    """The provider's name in lower case, a key of PROVIDERS."""
    key: Secret
    base_url: str = ""
    """Bound URL (or what the provider takes in its place); "" binds to the provider's default URL."""
    default: bool = False
    others: Mapping[str, object] = field(default_factory=dict, repr=False)
    """Defaults of the caller's `others`."""
    ambient: bool = False
    """Signed as the server itself, by its role, profile or variables, in place of a key."""
    requests_per_minute: int | None = None
    documents_per_minute: int | None = None


class KeyFile(Secret):
    """A key in a file, which may change: whoever asks gets the key that the file holds now.

    While the file cannot be used, as in the midst of being rewritten, the last key holds for a minute; after that the
    error is the operator's to see, because a key that was taken away must not be used for ever.
    """

    __slots__ = ("_clock", "_good_at", "_path", "_stamp", "_where")

    def __init__(self, path: Path, where: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._where, self._clock = path, where, clock
        self._stamp: tuple[int, ...] = ()
        super().__init__(self._read())

    def reveal(self) -> str:
        """The key; errors: CONFIG."""
        try:
            self._value = self._read()
        except CallerError:
            if self._clock() - self._good_at > _GRACE_S:
                raise
        return self._value

    def _read(self) -> str:
        now = self._clock()
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                stamp = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
                if stamp != self._stamp:
                    check_mode(status, self._path, self._where, holds_keys=True)
                text = self._value if stamp == self._stamp else file.read().decode().strip()
        except (OSError, ValueError):
            raise wrong(
                self._where, f"api_key_file {self._path} cannot be read. Correct the path or its mode."
            ) from None
        if not text:
            raise wrong(self._where, f"api_key_file {self._path} is empty. Write the key into it.")
        self._stamp, self._good_at = stamp, now
        return text


def check_mode(status: os.stat_result, path: Path, where: str, *, holds_keys: bool) -> None:
    """Errors: CONFIG for a file that every user may write, or read although it holds keys."""
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode) and mode & (stat.S_IWOTH | (stat.S_IROTH if holds_keys else 0)):
        what = "read" if mode & stat.S_IROTH and holds_keys else "changed"
        fix = "chmod o=" if holds_keys else "chmod o-w"
        raise wrong(where, f"{path} can be {what} by every user of this machine (mode {mode:o}). Run: {fix} {path}")


def wrong(where: str, what: str) -> CallerError:
    """The error of a mistake in the configuration."""
    return CallerError("CONFIG", f"{where} {what}")


def parse(name: str, table: Mapping[str, object], environment: Mapping[str, str], where: str) -> Credential:
    """The table of one credential -> Credential; `where` names it in errors."""
    for key, value in table.items():
        if key not in KEYS:
            raise wrong(where, f"has the unknown key {key}. Known: {', '.join(KEYS)}.")
        if type(value) is not KEYS[key].type or (type(value) is int and value < 1):
            raise wrong(where, f"{key} must be {_TYPE_NAMES[KEYS[key].type]}.")
    texts = {key: value for key, value in table.items() if isinstance(value, str)}
    numbers = {key: value for key, value in table.items() if type(value) is int}
    provider = texts.get("provider", "").lower()
    if provider not in PROVIDERS:
        raise wrong(where, f"needs a provider, one of {', '.join(p.name for p in PROVIDERS.values())}.")
    others = table.get("others", {})
    members = dict(others) if isinstance(others, dict) else {}
    if "model" in texts:
        members["model"] = texts["model"]
    if "aws_identity" in texts:
        _check_ambient(texts, provider, members, where)
    return Credential(
        name=name,
        provider=provider,
        key=_key(texts, environment, where),
        base_url=texts.get("base_url", ""),
        default=bool(table.get("default", False)),
        others=MappingProxyType(members),
        ambient="aws_identity" in texts,
        requests_per_minute=numbers.get("requests_per_minute"),
        documents_per_minute=numbers.get("documents_per_minute"),
    )


def _check_ambient(texts: Mapping[str, str], provider: str, others: Mapping[str, object], where: str) -> None:
    record = PROVIDERS[provider]
    if texts["aws_identity"] != "server":
        raise wrong(where, 'aws_identity must be "server": the role, profile or variables of the server\'s process.')
    if record.aws is None:
        raise wrong(where, f"has aws_identity, but {record.name} takes a key. Write api_key_file.")
    if "api_key" in texts or "api_key_file" in texts or "api_key_env" in texts or "access_key_id" in others:
        raise wrong(where, "has aws_identity and a key. Keep one.")
    if "{name}" in record.aws.path and not texts.get("base_url"):
        raise wrong(where, f"needs base_url, the name of the one {record.name} endpoint that the server may ask.")
    if not others.get("region_name"):
        raise wrong(where, "needs others.region_name, the one region that the server may ask.")


def _key(texts: Mapping[str, str], environment: Mapping[str, str], where: str) -> Secret:
    sources = [key for key in ("api_key", "api_key_file", "api_key_env") if key in texts]
    if len(sources) > 1:
        raise wrong(where, f"has {' and '.join(sources)}. Keep one.")
    if not sources:
        return Secret("")
    (source,) = sources
    if source == "api_key_env":
        if not environment.get(texts[source]):
            raise wrong(where, f"names the variable {texts[source]}, which is not set for the server's process.")
        return Secret(environment[texts[source]])
    if source == "api_key_file":
        return KeyFile(Path(texts[source]), where)
    return Secret(texts[source])

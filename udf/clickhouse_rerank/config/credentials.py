"""The server's keys: a [credentials.NAME] table of the configuration -> Credential; files that hold keys.

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
from ..types import Secret, did_you_mean
from . import schema
from .schema import FLAG, POSITIVE_INTEGER, TABLE, TEXT, setting, wrong

_GRACE_S = 60.0


@dataclass(frozen=True, slots=True, repr=False)
class CredentialTable:
    """A [credentials.NAME] table as the file has it; None for a key that it leaves out."""

    provider: str | None = setting(None, TEXT, "The provider that accepts the key")
    api_key: str | None = setting(
        None, TEXT, "The key itself; only root and the server's user may then be able to read this file"
    )
    api_key_file: str | None = setting(None, TEXT, "A file that contains the key; it may change while the server runs")
    api_key_env: str | None = setting(
        None, TEXT, "An environment variable of the server that contains the key, read when a worker starts"
    )
    aws_identity: str | None = setting(
        None,
        TEXT,
        'Instead of a key, "server": the server\'s own AWS role, profile or variables sign the requests',
    )
    base_url: str | None = setting(
        None, TEXT, "The only URL that the key is sent to; without it, the provider's default URL"
    )
    default: bool = setting(
        False, FLAG, "Whether an empty api_key in SQL, and therefore the wrapper, uses this credential"
    )
    model: str | None = setting(None, TEXT, "The model if SQL names none")
    others: Mapping[str, object] | None = setting(
        None, TABLE, "Defaults for others in SQL; regions, projects and similar keys can be set only here"
    )
    requests_per_minute: int | None = setting(
        None, POSITIVE_INTEGER, "Maximum requests with this credential, for all processes of the server", "a minute"
    )
    documents_per_minute: int | None = setting(
        None, POSITIVE_INTEGER, "Maximum documents with this credential, for all processes of the server", "a minute"
    )


@dataclass(frozen=True, slots=True)
class Credential:
    """A key of the server, and the only URL that it may be sent to."""

    name: str
    provider: str
    """The provider's name in lower case, a key of PROVIDERS."""
    key: Secret
    base_url: str = ""
    """Bound URL (or what the provider takes in its place); "" binds to the provider's default URL."""
    default: bool = False
    others: Mapping[str, object] = field(default_factory=dict, repr=False)
    """Members of `others` that hold where SQL does not say otherwise."""
    uses_server_identity: bool = False
    """Requests are signed with the AWS role, profile or variables of the server's process, in place of a key."""
    requests_per_minute: int | None = None
    documents_per_minute: int | None = None


class KeyFile(Secret):
    """A key in a file, which may change: `reveal` returns the key that the file holds now.

    While the file cannot be used, for example because it is being rewritten, the last key holds for a minute. After
    that, `reveal` raises the error for the operator to see, because a key that was removed must not be used forever.
    """

    __slots__ = ("_clock", "_good_at", "_path", "_stamp", "_where")

    def __init__(self, path: Path, where: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._where, self._clock = path, where, clock
        self._stamp: tuple[int, ...] = ()
        super().__init__(self._read())

    def reveal(self) -> str:
        """The key as it is now; errors: CONFIG."""
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


def parse(name: str, table: object, environment: Mapping[str, str], where: str) -> Credential:
    """The table of one credential, which stands at `where` in the file -> Credential; errors: CONFIG."""
    found = schema.parse(CredentialTable, table, where)
    provider = (found.provider or "").lower()
    if provider not in PROVIDERS:
        names = [known.name for known in PROVIDERS.values()]
        raise wrong(where, f"needs a provider, one of {', '.join(names)}.{did_you_mean(provider, names)}")
    others = dict(found.others or {})
    if found.model is not None:
        others["model"] = found.model
    if found.aws_identity is not None:
        _check_server_identity(found, provider, others, where)
    return Credential(
        name=name,
        provider=provider,
        key=_key(found, environment, where),
        base_url=found.base_url or "",
        default=found.default,
        others=MappingProxyType(others),
        uses_server_identity=found.aws_identity is not None,
        requests_per_minute=found.requests_per_minute,
        documents_per_minute=found.documents_per_minute,
    )


def _check_server_identity(found: CredentialTable, provider: str, others: Mapping[str, object], where: str) -> None:
    record = PROVIDERS[provider]
    if found.aws_identity != "server":
        raise wrong(where, 'aws_identity must be "server": the role, profile or variables of the server\'s process.')
    if record.aws is None:
        raise wrong(where, f"has aws_identity, but {record.name} takes a key. Write api_key_file.")
    if _key_sources(found) or "access_key_id" in others:
        raise wrong(where, "has aws_identity and a key. Keep one.")
    if "{name}" in record.aws.path and not found.base_url:
        raise wrong(where, f"needs base_url, the name of the one {record.name} endpoint that the server may ask.")
    if not others.get("region_name"):
        raise wrong(where, "needs others.region_name, the one region that the server may ask.")


def _key(found: CredentialTable, environment: Mapping[str, str], where: str) -> Secret:
    sources = _key_sources(found)
    if len(sources) > 1:
        raise wrong(where, f"has {' and '.join(sources)}. Keep one.")
    for source, value in sources.items():
        if source == "api_key_file":
            return KeyFile(Path(value), where)
        if source == "api_key_env" and not environment.get(value):
            raise wrong(where, f"names the variable {value}, which is not set for the server's process.")
        return Secret(environment[value] if source == "api_key_env" else value)
    return Secret("")


def _key_sources(found: CredentialTable) -> Mapping[str, str]:
    """The keys of the table that say what the key is, with their values."""
    sources = {"api_key": found.api_key, "api_key_file": found.api_key_file, "api_key_env": found.api_key_env}
    return {source: value for source, value in sources.items() if value is not None}

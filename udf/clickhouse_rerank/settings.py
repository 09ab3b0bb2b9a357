"""The server's side of the contract: credentials, reachable hosts, limits. Read once, from a mapping passed in.

A mistake is a CallerError with the code CONFIG that names the file's setting. Nothing here reads os.environ.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType

from .errors import CallerError
from .model import Secret
from .providers import PROVIDERS

_NAME, _IPV6 = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", r"[0-9a-f:.]*:[0-9a-f:.]*"
_HOSTS = {
    "allow_hosts": (re.compile(rf"\.?{_NAME}|{_IPV6}"), "a host name or a .suffix"),
    "allow_private": (re.compile(rf"(?:{_NAME}|\[{_IPV6}\])(?::[0-9]{{1,5}})?|{_IPV6}"), "a host or host:port"),
}
_TYPE_NAMES = {str: "a string", bool: "true or false", dict: "a table"}

CONFIG_VARIABLE = "CLICKHOUSE_RERANK_CONFIG"
DEFAULT_CONFIG = "/etc/clickhouse-rerank/config.toml"


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


@dataclass(frozen=True, slots=True)
class Network:
    """Where the worker may connect."""

    allow_hosts: tuple[str, ...] = ()
    """Exact names or ".suffix"; empty: any public https host."""
    allow_private: tuple[str, ...] = ()
    """Hosts, or host:port, that may be private, loopback or plain http."""
    allow_loopback: bool = False
    """Set for the embedded engine, whose caller is the machine's own user."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one worker process."""

    row_deadline_s: float = 30.0
    """Longest time from a row's turn to its answer; at most 3600."""
    connect_s: float = 5.0
    """Longest time to connect, TLS included."""
    max_in_flight: int = 64
    """Rows that wait for one provider endpoint at a time."""
    max_request_bytes: int = 32 << 20
    """Largest request body that is sent."""
    max_response_bytes: int = 8 << 20
    """Largest response body that is read."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the configuration file says."""

    credentials: Mapping[str, Credential] = field(default_factory=dict)
    network: Network = Network()
    limits: Limits = Limits()

    def default_credential(self, provider: str) -> Credential | None:
        """The credential that '' means for a provider (its name in lower case)."""
        mine = (c for c in self.credentials.values() if c.default and c.provider == provider)
        return next(mine, None)


def _wrong(where: str, what: str) -> CallerError:
    return CallerError("CONFIG", f"{where} {what}")


def load(environment: Mapping[str, str], *, embedded: bool = False) -> Settings:
    """The settings of a worker with this environment.

    `embedded`: the caller owns the machine, so loopback is allowed and the providers' conventional key variables count.
    """
    named = environment.get(CONFIG_VARIABLE)
    path = Path(named or DEFAULT_CONFIG)
    settings = parse(_document(path, required=bool(named)), environment, where=str(path))
    return _with_environment(settings, environment) if embedded else settings


def _document(path: Path, *, required: bool) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not required:
            return {}
        raise _wrong(str(path), f"cannot be read ({error.strerror}). Correct {CONFIG_VARIABLE} or the mode.") from None
    except tomllib.TOMLDecodeError as error:
        raise _wrong(str(path), f"is not TOML: {error}.") from None
    except UnicodeDecodeError:
        raise _wrong(str(path), "is not UTF-8.") from None


def parse(document: Mapping[str, object], environment: Mapping[str, str], *, where: str) -> Settings:
    """A parsed TOML document -> Settings; `where` is named in errors."""
    known = ("credentials", "network", "limits")
    for section in document:
        if section not in known:
            raise _wrong(where, f"has the unknown section [{section}]. Known: {', '.join(known)}.")
    credentials = {
        name: _credential(name, _table(table, f"{where} [credentials.{name}]"), environment, where)
        for name, table in _table(document.get("credentials", {}), f"{where} [credentials]").items()
    }
    defaults = [c.provider for c in credentials.values() if c.default]
    for provider in defaults:
        if defaults.count(provider) > 1:
            raise _wrong(where, f"has two default credentials for {PROVIDERS[provider].name}. Keep one.")
    network = _network(_table(document.get("network", {}), f"{where} [network]"), where)
    limits = _limits(_table(document.get("limits", {}), f"{where} [limits]"), where)
    return Settings(MappingProxyType(credentials), network, limits)


def _table(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _wrong(where, "must be a table.")
    return value


def _credential(name: str, table: Mapping[str, object], environment: Mapping[str, str], where: str) -> Credential:
    where = f"{where} [credentials.{name}]"
    known = {
        "provider": str, "api_key": str, "api_key_file": str, "api_key_env": str,
        "base_url": str, "default": bool, "model": str, "others": dict,
    }  # fmt: skip
    for key, value in table.items():
        if key not in known:
            raise _wrong(where, f"has the unknown key {key}. Known: {', '.join(known)}.")
        if type(value) is not known[key]:
            raise _wrong(where, f"{key} must be {_TYPE_NAMES[known[key]]}.")
    texts = {key: value for key, value in table.items() if isinstance(value, str)}
    provider = texts.get("provider", "").lower()
    if provider not in PROVIDERS:
        raise _wrong(where, f"needs a provider, one of {', '.join(p.name for p in PROVIDERS.values())}.")
    others = dict(_table(table.get("others", {}), where))
    if "model" in texts:
        others["model"] = texts["model"]
    return Credential(
        name=name,
        provider=provider,
        key=_key(texts, environment, where),
        base_url=texts.get("base_url", ""),
        default=bool(table.get("default", False)),
        others=MappingProxyType(others),
    )


def _key(texts: Mapping[str, str], environment: Mapping[str, str], where: str) -> Secret:
    sources = [key for key in ("api_key", "api_key_file", "api_key_env") if key in texts]
    if len(sources) > 1:
        raise _wrong(where, f"has {' and '.join(sources)}. Keep one.")
    if not sources:
        return Secret("")
    (source,) = sources
    if source == "api_key_env":
        if not environment.get(texts[source]):
            raise _wrong(where, f"names the variable {texts[source]}, which is not set for the server's process.")
        return Secret(environment[texts[source]])
    if source == "api_key_file":
        path = Path(texts[source])
        try:
            key = path.read_text("utf-8").strip()
        except (OSError, ValueError):
            raise _wrong(where, f"api_key_file {path} cannot be read. Correct the path or its mode.") from None
        if not key:
            raise _wrong(where, f"api_key_file {path} is empty. Write the key into it.")
        return Secret(key)
    return Secret(texts[source])


def _network(table: Mapping[str, object], where: str) -> Network:
    for key, value in table.items():
        if key not in _HOSTS:
            raise _wrong(f"{where} [network]", f"has the unknown key {key}. Known: {', '.join(_HOSTS)}.")
        if not isinstance(value, list) or not all(isinstance(host, str) for host in value):
            raise _wrong(f"{where} [network]", f"{key} must be a list of host names.")
        shape, meaning = _HOSTS[key]
        for host in value:
            if not shape.fullmatch(host.lower()):
                raise _wrong(f"{where} [network]", f"{key} has {host[:60]!r}. Write {meaning}.")
    lists = {key: tuple(str(host).lower() for host in value) for key, value in table.items() if isinstance(value, list)}
    return Network(lists.get("allow_hosts", ()), lists.get("allow_private", ()))


def _limits(table: Mapping[str, object], where: str) -> Limits:
    types = {f.name: type(f.default) for f in fields(Limits)}
    for key, value in table.items():
        if key not in types:
            raise _wrong(f"{where} [limits]", f"has the unknown key {key}. Known: {', '.join(types)}.")
        if type(value) not in (int, types[key]) or not 0 < value < math.inf:  # type: ignore[operator]
            kind = "integer" if types[key] is int else "number"
            raise _wrong(f"{where} [limits]", f"{key} must be a positive {kind}.")
    limits = Limits(**table)  # type: ignore[arg-type]
    if limits.row_deadline_s > 3600:
        raise _wrong(f"{where} [limits]", "row_deadline_s must be at most 3600.")
    return limits


def _with_environment(settings: Settings, environment: Mapping[str, str]) -> Settings:
    credentials = dict(settings.credentials)
    for name, provider in PROVIDERS.items():
        key = environment.get(provider.env) if provider.env else None
        if key and settings.default_credential(name) is None:
            credentials[provider.env] = Credential(provider.env, name, Secret(key), default=True)
    network = Network(settings.network.allow_hosts, settings.network.allow_private, allow_loopback=True)
    return Settings(MappingProxyType(credentials), network, settings.limits)

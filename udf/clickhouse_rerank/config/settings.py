"""The server's side of the contract: credentials, reachable hosts, limits. Read once, from a mapping passed in.

A mistake is a CallerError with the code CONFIG that names the file's setting. Nothing here reads os.environ.
"""

import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from ..errors import CallerError
from ..providers import PROVIDERS
from ..providers.base_url import parse_url
from ..types import Secret
from . import credentials, prices, tables
from .credentials import Credential, wrong
from .prices import Price
from .schema import Key, declared, keys
from .tables import CacheSettings, LogSettings, UsageSettings

__all__ = [
    "BUNDLED_CONFIG",
    "CONFIG_VARIABLE",
    "DEFAULT_CONFIG",
    "Credential",
    "Limits",
    "Network",
    "Settings",
    "load",
    "parse",
    "reference",
]

_NAME, _IPV6 = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", r"[0-9a-f:.]*:[0-9a-f:.]*"
_HOSTS = {
    "allow_hosts": (re.compile(rf"\.?{_NAME}|{_IPV6}"), "a host name or a .suffix"),
    "allow_private": (re.compile(rf"(?:{_NAME}|\[{_IPV6}\])(?::[0-9]{{1,5}})?|{_IPV6}"), "a host or host:port"),
}

CONFIG_VARIABLE = "CLICKHOUSE_RERANK_CONFIG"
DEFAULT_CONFIG = "/etc/clickhouse-rerank/config.toml"
BUNDLED_CONFIG = "config.toml"


@dataclass(frozen=True, slots=True)
class Network:
    """Where the worker may connect."""

    allow_hosts: tuple[str, ...] = declared(
        (), "The only hosts that may be reached, as exact names or .suffix; empty: any public host, by https"
    )
    allow_private: tuple[str, ...] = declared(
        (), "Hosts, or host:port, that may be private, loopback or plain http, whatever allow_hosts says"
    )
    proxy: str = declared("", "The HTTP proxy, http://host:port, that leads to every host not in allow_private")
    ca_file: str = declared("", "A file of certificates in PEM that are trusted beside the public ones")
    allow_loopback: bool = False
    """Set for the embedded engine, whose caller is the machine's own user."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one worker process."""

    row_deadline_s: float = declared(30.0, "Longest time from a row's turn to its answer; at most 3600", "seconds")
    rate_limit_wait_s: float = declared(
        75.0, "Longest time that a row waits in line while its provider answers others, but is at its limit", "seconds"
    )
    connect_s: float = declared(5.0, "Longest time to connect, TLS included", "seconds")
    max_in_flight: int = declared(64, "Rows of a process that wait for one endpoint at a time", "rows")
    max_documents: int = declared(10_000, "Documents of one call", "documents")
    max_rows: int = declared(1_000_000, "Rows of one block of the engine's", "rows")
    max_request_bytes: int = declared(32 << 20, "Largest request body that is sent", "bytes")
    max_response_bytes: int = declared(8 << 20, "Largest response body that is read", "bytes")
    max_held_bytes: int = declared(
        64 << 20, "Memory for the large response bodies that a process reads at a time, all together", "bytes"
    )
    counters: str = declared(
        "", "The folder where processes count per minute; without it, one of this user's in the temporary folder"
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the configuration file says."""

    credentials: Mapping[str, Credential] = field(default_factory=dict)
    network: Network = Network()
    limits: Limits = Limits()
    cache: CacheSettings = field(default_factory=CacheSettings)
    log: LogSettings = field(default_factory=LogSettings)
    usage: UsageSettings = field(default_factory=UsageSettings)
    prices: Mapping[tuple[str, str], Price] = field(default_factory=dict)
    """By provider's and model's name."""

    def default_credential(self, provider: str) -> Credential | None:
        """The credential that '' means for a provider (its name in lower case)."""
        mine = (c for c in self.credentials.values() if c.default and c.provider == provider)
        return next(mine, None)


_TABLES: Mapping[str, type] = {
    "network": Network,
    "limits": Limits,
    "cache": CacheSettings,
    "usage": UsageSettings,
    "log": LogSettings,
}


def reference() -> Iterator[tuple[str, str, Key]]:
    """(table, key, what it is) of everything that the file may say, in the order to write it in."""
    tables = {"credentials.NAME": credentials.KEYS} | {name: keys(record) for name, record in _TABLES.items()}
    tables["usage"] = {**tables["usage"], "prices": prices.KEY}
    for table, known in tables.items():
        for name, declaration in known.items():
            yield table, name, declaration


def load(environment: Mapping[str, str], *, embedded: bool = False, bundled: str = "") -> Settings:
    """The settings of a worker with this environment.

    `embedded`: the caller owns the machine, so loopback is allowed and the providers' conventional key variables count.
    `bundled`: the folder of a bundle, whose configuration counts if it has one, with whatever modes it was unpacked.
    """
    path, named = (Path(bundled, BUNDLED_CONFIG), False) if bundled else config_path(environment)
    settings = parse(_document(path, required=named, judged=not bundled), environment, where=str(path))
    return _with_environment(settings, environment) if embedded else settings


def config_path(environment: Mapping[str, str]) -> tuple[Path, bool]:
    """Where the configuration is, and whether a variable says so."""
    named = environment.get(CONFIG_VARIABLE)
    return Path(named or DEFAULT_CONFIG), bool(named)


def _document(path: Path, *, required: bool, judged: bool) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            document = tomllib.loads(file.read().decode())
            status = os.fstat(file.fileno())
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not required:
            return {}
        raise wrong(str(path), f"cannot be read ({error.strerror}). Correct {CONFIG_VARIABLE} or the mode.") from None
    except tomllib.TOMLDecodeError as error:
        raise wrong(str(path), f"is not TOML: {error}.") from None
    except UnicodeDecodeError:
        raise wrong(str(path), "is not UTF-8.") from None
    if judged:
        credentials.check_mode(status, path, "The configuration", holds_keys=_holds_keys(document))
    return document


def _holds_keys(document: Mapping[str, object]) -> bool:
    tables = document.get("credentials")
    for table in tables.values() if isinstance(tables, dict) else ():
        others = table.get("others") if isinstance(table, dict) else None
        if isinstance(table, dict) and ("api_key" in table or (isinstance(others, dict) and "session_token" in others)):
            return True
    return False


def parse(document: Mapping[str, object], environment: Mapping[str, str], *, where: str) -> Settings:
    """A parsed TOML document -> Settings; `where` is named in errors."""
    known = ("credentials", *_TABLES)
    for section in document:
        if section not in known:
            raise wrong(where, f"has the unknown section [{section}]. Known: {', '.join(known)}.")
    found: dict[str, Credential] = {}
    for name, table in _table(document.get("credentials", {}), f"{where} [credentials]").items():
        place = f"{where} [credentials.{name}]"
        found[name] = credentials.parse(name, _table(table, place), environment, place)
    defaults = [c.provider for c in found.values() if c.default]
    for provider in defaults:
        if defaults.count(provider) > 1:
            raise wrong(where, f"has two default credentials for {PROVIDERS[provider].name}. Keep one.")
    network = _network(_table(document.get("network", {}), f"{where} [network]"), f"{where} [network]")
    limits = _limits(_table(document.get("limits", {}), f"{where} [limits]"), f"{where} [limits]")
    cache = tables.parse(CacheSettings, _table(document.get("cache", {}), f"{where} [cache]"), f"{where} [cache]")
    log = tables.parse(LogSettings, _table(document.get("log", {}), f"{where} [log]"), f"{where} [log]")
    usage = dict(_table(document.get("usage", {}), f"{where} [usage]"))
    priced = prices.parse(_table(usage.pop("prices", {}), f"{where} [usage.prices]"), f"{where} [usage.prices]")
    recording = tables.parse(UsageSettings, usage, f"{where} [usage]")
    return Settings(MappingProxyType(found), network, limits, cache, log, recording, priced)


def _table(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise wrong(where, "must be a table.")
    return value


def _network(table: Mapping[str, object], where: str) -> Network:
    lists: dict[str, tuple[str, ...]] = {}
    texts: dict[str, str] = {}
    known = keys(Network)
    for key, value in table.items():
        if key not in known:
            raise wrong(where, f"has the unknown key {key}. Known: {', '.join(known)}.")
        if key in _HOSTS:
            lists[key] = _hosts(key, value, where)
        elif isinstance(value, str):
            texts[key] = value
        else:
            raise wrong(where, f"{key} must be a string.")
    network = Network(**lists, **texts)  # type: ignore[arg-type]
    if network.proxy:
        try:
            proxy = parse_url(network.proxy)
        except CallerError:
            raise wrong(where, "proxy is no plain URL. Write it as http://host:port, without a user.") from None
        if proxy.scheme != "http" or proxy.path not in ("", "/"):
            raise wrong(where, "proxy must be of the form http://host:port.")
    if network.ca_file and not Path(network.ca_file).is_file():
        raise wrong(where, f"ca_file {network.ca_file} is no file. Correct the path or its mode.")
    return network


def _hosts(key: str, value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(host, str) for host in value):
        raise wrong(where, f"{key} must be a list of host names.")
    shape, meaning = _HOSTS[key]
    for host in value:
        if not shape.fullmatch(host.lower()):
            raise wrong(where, f"{key} has {host[:60]!r}. Write {meaning}.")
    return tuple(host.lower() for host in value)


def _limits(table: Mapping[str, object], where: str) -> Limits:
    types = {name: known.type for name, known in keys(Limits).items()}
    for key, value in table.items():
        if key not in types:
            raise wrong(where, f"has the unknown key {key}. Known: {', '.join(types)}.")
        if types[key] is str:
            if not isinstance(value, str) or not Path(value).is_absolute():
                raise wrong(where, f"{key} must be the absolute path of a folder.")
        elif type(value) not in (int, types[key]) or not 0 < value < math.inf:  # type: ignore[operator]
            kind = "integer" if types[key] is int else "number"
            raise wrong(where, f"{key} must be a positive {kind}.")
    limits = Limits(**table)  # type: ignore[arg-type]
    if limits.row_deadline_s > 3600:
        raise wrong(where, "row_deadline_s must be at most 3600.")
    return limits


def _with_environment(settings: Settings, environment: Mapping[str, str]) -> Settings:
    found = dict(settings.credentials)
    for name, provider in PROVIDERS.items():
        key = environment.get(provider.env) if provider.env else None
        if key and settings.default_credential(name) is None:
            found[provider.env] = Credential(provider.env, name, Secret(key), default=True)
    network = replace(settings.network, allow_loopback=True)
    return replace(settings, credentials=MappingProxyType(found), network=network)

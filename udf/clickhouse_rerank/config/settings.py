"""The configuration file of the server -> Settings: credentials, reachable hosts, limits, cache, usage, log.

A mistake in the file is a CallerError with the code CONFIG that names the setting. Nothing here reads os.environ: the
caller passes the environment in.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from ..errors import CallerError
from ..providers import PROVIDERS
from ..types import Secret, did_you_mean
from . import credentials, models, prices, schema, tables
from .credentials import Credential, CredentialTable
from .models import Model, ModelTable
from .prices import Price
from .schema import Setting, as_table, settings_of, wrong
from .tables import CacheSettings, Limits, LogSettings, Network, UsageSettings

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

CONFIG_VARIABLE = "CLICKHOUSE_RERANK_CONFIG"
DEFAULT_CONFIG = "/etc/clickhouse-rerank/config.toml"
BUNDLED_CONFIG = "config.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the configuration file says."""

    credentials: Mapping[str, Credential] = field(default_factory=dict)
    network: Network = field(default_factory=Network)
    limits: Limits = field(default_factory=Limits)
    cache: CacheSettings = field(default_factory=CacheSettings)
    log: LogSettings = field(default_factory=LogSettings)
    usage: UsageSettings = field(default_factory=UsageSettings)
    prices: Mapping[tuple[str, str], Price] = field(default_factory=dict)
    """By provider's and model's name."""
    models: Mapping[str, Model] = field(default_factory=dict)
    """Models that score in the worker, by name."""

    def default_credential(self, provider: str) -> Credential | None:
        """The credential that '' means for a provider (its name in lower case)."""
        defaults = (c for c in self.credentials.values() if c.default and c.provider == provider)
        return next(defaults, None)

    def model(self, name: str) -> Model:
        """The model with this name, or for "" the default or the only one; errors: BAD_OTHERS."""
        defaults = [model for model in self.models.values() if model.default or len(self.models) == 1]
        found = self.models.get(name) if name else next(iter(defaults), None)
        if found is None:
            raise CallerError("BAD_OTHERS", models.unknown(name, self.models))
        return found


_TABLES: Mapping[str, type] = {
    "network": Network,
    "limits": Limits,
    "cache": CacheSettings,
    "usage": UsageSettings,
    "log": LogSettings,
}


def reference() -> Iterator[tuple[str, str, Setting]]:
    """(table, key, declaration) of each setting that the file may have, in the order of the documentation."""
    classes = {"credentials.NAME": CredentialTable, "models.NAME": ModelTable, **_TABLES}
    by_table = {name: settings_of(table) for name, table in classes.items()}
    by_table["usage"]["prices"] = prices.SETTING
    for table, known in by_table.items():
        for key, declaration in known.items():
            yield table, key, declaration


def load(environment: Mapping[str, str], *, embedded: bool = False, bundled: str = "") -> Settings:
    """The settings of a worker with this environment.

    `embedded`: the caller owns the machine, so loopback is allowed and the providers' conventional key variables count.
    `bundled`: the folder of a bundle, whose configuration counts if it has one, whatever the modes of its files are.
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
    known = ("credentials", "models", *_TABLES)
    for section in document:
        if section not in known:
            suggestion = did_you_mean(section, known)
            raise wrong(where, f"has the unknown section [{section}].{suggestion} Known: {', '.join(known)}.")
    found: dict[str, Credential] = {}
    for name, table in as_table(document.get("credentials", {}), f"{where} [credentials]").items():
        found[name] = credentials.parse(name, table, environment, f"{where} [credentials.{name}]")
    _check_defaults(found, where)
    own: dict[str, Model] = {}
    for name, table in as_table(document.get("models", {}), f"{where} [models]").items():
        own[name] = models.parse(name, table, f"{where} [models.{name}]")
    models.check_defaults(own, where)
    usage = dict(as_table(document.get("usage", {}), f"{where} [usage]"))
    return Settings(
        credentials=MappingProxyType(found),
        models=MappingProxyType(own),
        network=tables.network(document.get("network", {}), f"{where} [network]"),
        limits=tables.limits(document.get("limits", {}), f"{where} [limits]"),
        cache=schema.parse(CacheSettings, document.get("cache", {}), f"{where} [cache]"),
        log=schema.parse(LogSettings, document.get("log", {}), f"{where} [log]"),
        prices=prices.parse(usage.pop("prices", {}), f"{where} [usage.prices]"),
        usage=schema.parse(UsageSettings, usage, f"{where} [usage]"),
    )


def _check_defaults(found: Mapping[str, Credential], where: str) -> None:
    """Errors: CONFIG for a provider with two default credentials."""
    defaults = [credential.provider for credential in found.values() if credential.default]
    for provider in defaults:
        if defaults.count(provider) > 1:
            raise wrong(where, f"has two default credentials for {PROVIDERS[provider].name}. Keep one.")


def _with_environment(settings: Settings, environment: Mapping[str, str]) -> Settings:
    found = dict(settings.credentials)
    for name, provider in PROVIDERS.items():
        key = environment.get(provider.env) if provider.env else None
        if key and settings.default_credential(name) is None:
            found[provider.env] = Credential(provider.env, name, Secret(key), default=True)
    network = replace(settings.network, allow_loopback=True)
    own = settings.models or models.in_folder(models.user_folder(environment))
    return replace(settings, credentials=MappingProxyType(found), network=network, models=MappingProxyType(own))

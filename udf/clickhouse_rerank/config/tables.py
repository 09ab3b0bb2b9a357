"""The tables [network], [limits], [cache], [usage] and [log] of the configuration, with their defaults."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import CallerError
from ..providers.base_url import parse_url
from .schema import (
    FILE,
    FOLDER,
    HOSTS,
    INTEGER,
    NUMBER,
    POSITIVE_INTEGER,
    POSITIVE_NUMBER,
    TEXT,
    parse,
    setting,
    wrong,
)

_NAME, _IPV6 = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", r"[0-9a-f:.]*:[0-9a-f:.]*"
_HOST_OR_SUFFIX = re.compile(rf"\.?{_NAME}|{_IPV6}")
_HOST_AND_PORT = re.compile(rf"(?:{_NAME}|\[{_IPV6}\])(?::[0-9]{{1,5}})?|{_IPV6}")
_MAX_DEADLINE_S = 3600


@dataclass(frozen=True, slots=True)
class Network:
    """Where the worker may connect."""

    allow_hosts: tuple[str, ...] = setting(
        (), HOSTS, "The only hosts that calls may reach, as exact names or .suffix; empty: any public host over https"
    )
    allow_private: tuple[str, ...] = setting(
        (),
        HOSTS,
        "Hosts, or host:port, that may be private or loopback or use plain http, even if allow_hosts omits them",
    )
    proxy: str = setting("", TEXT, "The HTTP proxy, http://host:port, for every host that is not in allow_private")
    ca_file: str = setting("", TEXT, "A PEM file of certificates that are trusted in addition to the public ones")
    allow_loopback: bool = False
    """Set for the embedded engine, whose caller is the machine's own user."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one worker process."""

    row_deadline_s: float = setting(
        30.0, POSITIVE_NUMBER, "Longest time from a row's turn to its answer; at most 3600", "seconds"
    )
    rate_limit_wait_s: float = setting(
        75.0,
        POSITIVE_NUMBER,
        "Longest time that a row waits in line after a 429, while its provider answers other requests",
        "seconds",
    )
    connect_s: float = setting(5.0, POSITIVE_NUMBER, "Longest time to connect, TLS included", "seconds")
    max_in_flight: int = setting(
        64,
        POSITIVE_INTEGER,
        "Maximum requests in flight to one endpoint, for all processes of the server together",
        "requests",
    )
    max_documents: int = setting(10_000, POSITIVE_INTEGER, "Maximum documents of one call", "documents")
    max_rows: int = setting(1_000_000, POSITIVE_INTEGER, "Maximum rows of one block", "rows")
    max_calls: int = setting(
        10_000, POSITIVE_INTEGER, "Maximum requests that the rows of one block may need; a list counts once", "requests"
    )
    max_request_bytes: int = setting(32 << 20, POSITIVE_INTEGER, "Largest request body that is sent", "bytes")
    max_response_bytes: int = setting(8 << 20, POSITIVE_INTEGER, "Largest response body that is read", "bytes")
    max_held_bytes: int = setting(
        64 << 20, POSITIVE_INTEGER, "Memory for the large response bodies that a process reads at a time", "bytes"
    )
    counters: str = setting(
        "",
        FOLDER,
        "The folder of the counters that processes share; by default, a folder of the server's user in the temporary "
        "folder",
    )


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """For how long scores are kept, and where."""

    memory_s: float = setting(10.0, NUMBER, "How long a process remembers its calls; 0 turns this off", "seconds")
    path: str = setting("", FILE, "The file in which all processes keep scores, instead of each in its own memory")
    ttl_s: float = setting(86_400.0, NUMBER, "How long scores in the file are valid", "seconds")
    max_bytes: int = setting(256 << 20, INTEGER, "Size of the file at which the oldest scores are deleted", "bytes")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where the worker logs messages to the operator that belong to no query."""

    path: str = setting("", FILE, "A file for messages to the operator")


@dataclass(frozen=True, slots=True)
class UsageSettings:
    """Where the worker records the costs and the results of its calls."""

    path: str = setting("", FILE, "The file to which all processes append a line for each call")
    max_bytes: int = setting(
        64 << 20, INTEGER, "Size at which the file is renamed and a new one begins; 0: never", "bytes"
    )
    kept: int = setting(8, INTEGER, "Renamed files to keep; older ones are deleted", "files")


def network(table: object, where: str) -> Network:
    """[network], with its hosts in lower case; errors: CONFIG."""
    found = parse(Network, table, where)
    for key, hosts, grammar, meaning in (
        ("allow_hosts", found.allow_hosts, _HOST_OR_SUFFIX, "a host name or a .suffix"),
        ("allow_private", found.allow_private, _HOST_AND_PORT, "a host or host:port"),
    ):
        for host in hosts:
            if not grammar.fullmatch(host.lower()):
                raise wrong(where, f"{key} has {host[:60]!r}. Write {meaning}.")
    if found.proxy:
        try:
            proxy = parse_url(found.proxy)
        except CallerError:
            raise wrong(where, "proxy is no plain URL. Write it as http://host:port, without a user.") from None
        if proxy.scheme != "http" or proxy.path not in ("", "/"):
            raise wrong(where, "proxy must be of the form http://host:port.")
    if found.ca_file and not Path(found.ca_file).is_file():
        raise wrong(where, f"ca_file {found.ca_file} is no file. Correct the path or its mode.")
    return replace(
        found,
        allow_hosts=tuple(map(str.lower, found.allow_hosts)),
        allow_private=tuple(map(str.lower, found.allow_private)),
    )


def limits(table: object, where: str) -> Limits:
    """[limits]; errors: CONFIG."""
    found = parse(Limits, table, where)
    if found.row_deadline_s > _MAX_DEADLINE_S:
        raise wrong(where, f"row_deadline_s must be at most {_MAX_DEADLINE_S}.")
    return found

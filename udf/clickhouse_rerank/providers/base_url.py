"""URLs: the one grammar that is accepted, and the URL that a base_url means. Pure: no host name is looked up."""

import ipaddress
import re
from typing import NamedTuple

from ..errors import CallerError
from . import RERANK_PATHS

_LABEL = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[(?P<ipv6>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{{1,5}}))?"
    r"(?P<path>(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*)"
)
_PORTS = {"http": 80, "https": 443}
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
_VERSION = re.compile(r"v[0-9]+(?:(?:alpha|beta)[0-9]*)?")


class Url(NamedTuple):
    """An http(s) URL in parts; `path` begins with / or is empty."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host, with the port unless it is the scheme's own."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_url(text: str, where: str = "base_url") -> Url:
    """A URL in the one grammar that is accepted; errors: BAD_URL, which does not repeat the text."""
    if "://" not in text[:12]:
        raise CallerError("BAD_URL", f"{where} has no scheme. Write it as https://host/path.")
    scheme, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    match = _URL.fullmatch(f"{scheme.lower()}://{authority.lower()}{slash}{path}") if text.isascii() else None
    if len(text) > 2048:
        match = None
    if match is None or {".", ".."} & set(match["path"].split("/")) or not _is_host(match["host"], match["ipv6"]):
        raise CallerError(
            "BAD_URL",
            f"{where} is not a plain http(s) URL. Write scheme, host, port and path; no user, query or fragment.",
        )
    if _NUMERIC.fullmatch(match["host"].rpartition(".")[2]) and not _IPV4.fullmatch(match["host"]):
        raise CallerError(
            "BAD_URL", f"{where} has a host that looks like a number. Write an IPv4 address as 192.0.2.1."
        )
    port = int(match["port"] or _PORTS[match["scheme"]])
    if not 0 < port < 65536:
        raise CallerError("BAD_URL", f"{where} has a port outside 1 to 65535.")
    return Url(match["scheme"], match["host"], port, match["path"])


def _is_host(host: str, ipv6: str | None) -> bool:
    if ipv6 is None:
        return len(host) <= 253
    try:
        ipaddress.IPv6Address(ipv6)
    except ValueError:
        return False
    return True


def is_complete(base: Url, path: str, complete: str = RERANK_PATHS) -> bool:
    """Whether requests go to base_url as it is; for the arguments see `request_url`."""
    return path == "/" or re.fullmatch(complete, base.path.rstrip("/")) is not None


def request_url(base: Url, path: str, complete: str = RERANK_PATHS) -> Url:
    """The URL of requests for a base_url, however it was written; `path` is the provider's own.

    Slashes at the end do not count. A path that the regular expression `complete` matches is taken as it is, and so is
    every path if the provider's own is /. Otherwise the provider's own path is appended. Where the two overlap, the
    overlap stands once (`/v1` and `/v1/rerank` give `/v1/rerank`). Where the given path has a version, the provider's
    own path loses its version and everything before it (`/v2` and `/v1/rerank` give `/v2/rerank`).
    """
    given = base.path.rstrip("/")
    if is_complete(base, path, complete):
        return base._replace(path=given or "/")
    theirs, ours = given.split("/")[1:], path.split("/")[1:]
    for shared in range(min(len(theirs), len(ours)), 0, -1):
        if theirs[-shared:] == ours[:shared]:
            return base._replace(path="/".join(("", *theirs, *ours[shared:])))
    versions = [at for at, segment in enumerate(ours) if _VERSION.fullmatch(segment)]
    if versions and any(_VERSION.fullmatch(segment) for segment in theirs):
        ours = ours[versions[0] + 1 :]
    return base._replace(path="/".join(("", *theirs, *ours)))

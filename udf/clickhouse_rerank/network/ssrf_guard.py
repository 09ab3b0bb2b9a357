"""SSRF guard: which hosts and addresses the worker may connect to. Pure: looks no name up, opens no connection.

Two checks: `check_host` for the host as written, before any look-up; `is_allowed` for each address, in the moment when
a connection to it is opened. `ipaddress.is_global` alone is no check: it holds for NAT64, 6to4 and other addresses that
lead back inside.
"""

import ipaddress
from enum import Enum

from ..config.settings import Network
from ..errors import CallerError
from ..providers.base_url import Url

_METADATA = ipaddress.ip_address("168.63.129.16")  # a cloud's host agent: a public address that is not public
_REFUSED_V4 = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15")))
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_REFUSED_V6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))


class Scope(Enum):
    """Which addresses a host may have."""

    PUBLIC = "public"
    LOOPBACK = "loopback"
    ANY = "any"


def check_host(url: Url, network: Network) -> Scope:
    """Which addresses the host of a URL may have, by the configuration.

    Errors: BLOCKED, with the same sentence whether or not there is such a host.
    """
    host = url.host.strip("[]")
    if {host, url.host, f"{url.host}:{url.port}"} & set(network.allow_private):
        return Scope.ANY
    literal = parse_address(host)
    if network.allow_loopback and (host == "localhost" or (literal is not None and literal.is_loopback)):
        return Scope.LOOPBACK
    listed = any(host == name or (name[:1] == "." and host.endswith(name)) for name in network.allow_hosts)
    if network.allow_hosts and not listed:
        raise blocked(host)
    if url.scheme != "https":
        raise CallerError(
            "BLOCKED",
            f"Plain http to {host} is not allowed. Use https, or ask the operator to list it in network.allow_private.",
        )
    if literal is not None and not is_allowed(host, Scope.PUBLIC):
        raise blocked(host)
    return Scope.PUBLIC


def blocked(host: str) -> CallerError:
    """The error for a host that the worker may not connect to."""
    return CallerError(
        "BLOCKED",
        f"This server may not connect to {host}. Ask the operator to list it in network.allow_hosts, or "
        "network.allow_private if it is internal.",
    )


def is_allowed(address: str, scope: Scope) -> bool:
    """Whether an IP address, as a resolver or a socket names it, is in the scope; False for what is no address."""
    ip = parse_address(address)
    if ip is None:
        return False
    if scope is Scope.ANY:
        return True
    if scope is Scope.LOOPBACK:
        return ip.is_loopback
    if ip.is_multicast or not ip.is_global or ip == _METADATA:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _REFUSED_V4)
    return ip in _GLOBAL_V6 and not any(ip in network for network in _REFUSED_V6)


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a text is; None for a name, and for an address in brackets."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None

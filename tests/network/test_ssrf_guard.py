"""Which hosts and addresses may be reached: tables, with nothing looked up and nothing dialled."""

import pytest

from clickhouse_rerank.config.settings import Network
from clickhouse_rerank.errors import CallerError
from clickhouse_rerank.network.ssrf_guard import Scope, check_host, is_allowed
from clickhouse_rerank.providers.base_url import parse_url

REFUSED = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.8.8",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "172.15.255.255", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00:1450::1"]


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public(address: str) -> None:
    """Private, local, translated, documentation and metadata addresses are no public hosts."""
    assert not is_allowed(address, Scope.PUBLIC)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_that_are_public(address: str) -> None:
    """Ordinary addresses are public, and nothing else is loopback."""
    assert is_allowed(address, Scope.PUBLIC)
    assert not is_allowed(address, Scope.LOOPBACK)


@pytest.mark.parametrize(
    ("address", "allowed", "verdict"),
    [
        ("127.0.0.1", Scope.LOOPBACK, True),
        ("127.1.2.3", Scope.LOOPBACK, True),
        ("::1", Scope.LOOPBACK, True),
        ("10.0.0.1", Scope.LOOPBACK, False),
        ("169.254.169.254", Scope.LOOPBACK, False),
        ("10.0.0.1", Scope.ANY, True),
        ("fd00::1", Scope.ANY, True),
        ("localhost", Scope.ANY, False),
        ("127.1", Scope.LOOPBACK, False),
        ("0x7f.0.0.1", Scope.ANY, False),
        ("", Scope.ANY, False),
    ],
)
def test_addresses_under_other_permissions(address: str, allowed: Scope, verdict: bool) -> None:
    """Loopback is loopback only, any is any address, and what is no address is never permitted."""
    assert is_allowed(address, allowed) is verdict


NOTHING, EMBEDDED = Network(), Network(allow_loopback=True)
LISTED = Network(allow_hosts=("api.example.com", ".models.example"))
PRIVATE = Network(
    allow_hosts=("api.example.com",), allow_private=("tei", "rerank.corp:8080", "10.0.0.5", "::1", "[fd00::1]:80")
)

ALLOWED = [
    ("https://api.example.com/v1", NOTHING, Scope.PUBLIC),
    ("https://8.8.8.8/", NOTHING, Scope.PUBLIC),
    ("https://api.example.com", LISTED, Scope.PUBLIC),
    ("https://API.Example.com:8443", LISTED, Scope.PUBLIC),
    ("https://a.models.example", LISTED, Scope.PUBLIC),
    ("http://127.0.0.1:8080", EMBEDDED, Scope.LOOPBACK),
    ("http://127.9.9.9", EMBEDDED, Scope.LOOPBACK),
    ("http://localhost", EMBEDDED, Scope.LOOPBACK),
    ("http://[::1]:8080", EMBEDDED, Scope.LOOPBACK),
    ("https://localhost", EMBEDDED, Scope.LOOPBACK),
    ("https://api.example.com", EMBEDDED, Scope.PUBLIC),
    ("http://tei", PRIVATE, Scope.ANY),
    ("http://tei:9999", PRIVATE, Scope.ANY),
    ("https://rerank.corp:8080", PRIVATE, Scope.ANY),
    ("http://10.0.0.5", PRIVATE, Scope.ANY),
    ("http://[::1]:1234", PRIVATE, Scope.ANY),
    ("http://[fd00::1]", PRIVATE, Scope.ANY),
    ("http://[::1]:1", Network(allow_private=("[::1]",)), Scope.ANY),
]


@pytest.mark.parametrize(("url", "network", "expected"), ALLOWED)
def test_hosts_that_are_allowed(url: str, network: Network, expected: Scope) -> None:
    """A host gets the least permission that the configuration gives it."""
    assert check_host(parse_url(url), network) is expected


BLOCKED = [
    ("http://api.example.com", NOTHING),
    ("http://8.8.8.8", NOTHING),
    ("https://127.0.0.1", NOTHING),
    ("https://169.254.169.254/latest/meta-data", NOTHING),
    ("https://[::1]", NOTHING),
    ("https://[::ffff:127.0.0.1]", NOTHING),
    ("https://10.0.0.1", EMBEDDED),
    ("https://169.254.169.254", EMBEDDED),
    ("http://0.0.0.0:8080", EMBEDDED),
    ("http://localhost.example.com", EMBEDDED),
    ("https://other.example.com", LISTED),
    ("https://models.example", LISTED),
    ("https://evilmodels.example", LISTED),
    ("https://evilapi.example.com", LISTED),
    ("https://evil.api.example.com", LISTED),
    ("https://api.example.com.evil.test", LISTED),
    ("http://a.models.example", LISTED),
    ("https://8.8.8.8", LISTED),
    ("https://rerank.corp", PRIVATE),
    ("https://rerank.corp:8081", PRIVATE),
    ("https://10.0.0.6", PRIVATE),
    ("http://api.example.com", PRIVATE),
    ("http://[fd00::1]:81", PRIVATE),
]


@pytest.mark.parametrize(("url", "network"), BLOCKED)
def test_hosts_that_are_blocked(url: str, network: Network) -> None:
    """A host outside the configuration is BLOCKED before any look-up, and the message says whom to ask."""
    with pytest.raises(CallerError, match=r"BLOCKED: .* operator"):
        check_host(parse_url(url), network)


def test_a_public_host_in_the_list_must_still_resolve_to_public_addresses() -> None:
    """allow_hosts names hosts, not addresses: rebinding a listed name to an inner address does not help."""
    assert check_host(parse_url("https://api.example.com"), LISTED) is Scope.PUBLIC
    assert not is_allowed("10.0.0.1", Scope.PUBLIC)

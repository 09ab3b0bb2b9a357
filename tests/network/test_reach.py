"""Where the worker connects, asked through `Reranker` in a made-up network: what is forbidden is not even tried."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest

from asking import KEY, RIGHT, asked, code, outcome, row, settings
from certificates import Certificates
from clickhouse_rerank.admission import retry
from clickhouse_rerank.config.settings import Limits, Network, Settings
from clickhouse_rerank.errors import CallerError, RerankError
from clickhouse_rerank.network import name_lookup
from clickhouse_rerank.network.ssrf_guard import Scope, check_host, is_allowed
from clickhouse_rerank.providers.base_url import parse_url
from clickhouse_rerank.reranker import Reranker
from hostile_urls import CORPUS, FORBIDDEN, FORBIDDEN_V6, generated, spellings
from provider import Provider
from proxy import Proxy
from world import World

PUBLIC = "8.8.8.8"
STRICT = Settings(network=Network(allow_hosts=("allowed.test",)))
OPEN = Settings()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The made-up network; what fails is not tried again."""
    monkeypatch.setattr(retry, "ATTEMPTS", 1)
    return World(monkeypatch)


def codes(urls: Iterable[str], within: Settings) -> dict[str, int]:
    """How often each code is the outcome of asking these URLs with a key of SQL's."""

    async def run() -> dict[str, int]:
        found: dict[str, int] = {}
        reranker = Reranker(within)
        for url in urls:
            result = await outcome(reranker, row(url))
            assert isinstance(result, RerankError), url
            found[result.code] = found.get(result.code, 0) + 1
        await reranker.aclose()
        return found

    return asyncio.run(run())


def test_the_corpus_leads_nowhere(world: World) -> None:
    """No hostile URL is dialled; with a list of hosts none is looked up, and without one only plain https names are."""
    assert len(set(CORPUS)) >= 200
    world.otherwise = ["169.254.169.254"]
    found = codes(CORPUS, STRICT)
    assert world.looked_up == world.dialled == [], found
    assert found.keys() <= {"BAD_URL", "BLOCKED", "BAD_KEY"}
    assert codes(CORPUS, OPEN).keys() <= {"BAD_URL", "BLOCKED", "BAD_KEY"}
    assert world.dialled == []
    assert world.looked_up and all(name.endswith(".test") for name in world.looked_up)


def test_a_hundred_thousand_generated_urls_lead_nowhere(world: World) -> None:
    """Only the listed name is looked up and dialled; without a list, no name that has a forbidden address is."""
    world.names = {"allowed.test": [PUBLIC]}
    world.otherwise = ["127.0.0.1"]
    found = codes(generated(50_000, 1), STRICT)
    assert set(world.looked_up) == {"allowed.test"}
    assert set(world.dialled) == {PUBLIC}
    assert found["BLOCKED"] > 500 and found["BAD_URL"] > 10_000
    world.dialled.clear()
    world.names = {}
    answers = [*FORBIDDEN, *FORBIDDEN_V6]
    chance = random.Random(2)
    world.otherwise = lambda: [chance.choice((PUBLIC, "2606:4700::1")), chance.choice(answers)]
    found = codes(generated(50_000, 2), OPEN)
    assert world.dialled == []
    assert found["BLOCKED"] > 500 and found["BAD_URL"] > 10_000


def test_every_spelling_of_a_forbidden_address_is_refused() -> None:
    """As a host it is no URL or blocked; as an answer of a resolver no permission for public hosts lets it pass."""
    chance = random.Random(3)
    for address in (*FORBIDDEN, *(f"10.{chance.randrange(256)}.{chance.randrange(256)}.9" for _ in range(50))):
        for host in spellings(address):
            if host.startswith("["):
                assert not is_allowed(host.strip("[]"), Scope.PUBLIC), host
            with pytest.raises(CallerError, match=r"BAD_URL|BLOCKED"):
                check_host(parse_url(f"https://{host}/"), Network())


def test_what_is_accepted_others_read_the_same() -> None:
    """The standard library, and a server by the Host header, see the host and port that were checked."""
    accepted = 0
    for text in (*CORPUS, *generated(20_000, 4)):
        try:
            url = parse_url(text)
        except CallerError:
            continue
        accepted += 1
        assert text.isascii(), text
        for other in (urlsplit(str(url)), urlsplit(f"{url.scheme}://{url.authority}/")):
            assert (other.port or {"http": 80, "https": 443}[url.scheme]) == url.port, text
            host = str(other.hostname)
            assert host == url.host or ip_address(host) == ip_address(url.host.strip("[]")), text
    assert accepted > 500


# --- names that change


@pytest.mark.parametrize("kept_s", [0, name_lookup.HOLD_S])
def test_a_name_that_turns_inward_is_not_followed(world: World, monkeypatch: pytest.MonkeyPatch, kept_s: int) -> None:
    """First public, then loopback: each new connection dials what was checked, or nothing."""
    monkeypatch.setattr(name_lookup, "HOLD_S", kept_s)
    answers = iter([[PUBLIC], *[["127.0.0.1"]] * 1000])
    world.names = {"rebind.test": lambda: next(answers)}
    url = "https://rebind.test/v1/rerank"
    found = [code(result) for result in asked(*[row(url)] * 5, within=Settings(limits=Limits(connect_s=1.0)))]
    assert "127.0.0.1" not in world.dialled and PUBLIC in world.dialled
    assert found[0] == "CONNECT"
    if kept_s == 0:
        assert found[1:] == ["BLOCKED"] * 4 and len(world.looked_up) == 5


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.1", "::1", "64:ff9b::a9fe:a9fe", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("first", [True, False])
def test_one_forbidden_answer_refuses_the_name(world: World, inner: str, first: bool) -> None:
    """Mixed answers, in either order: nothing is dialled, not even the public one."""
    world.names = {"mixed.test": [inner, PUBLIC] if first else [PUBLIC, inner]}
    (error,) = asked(row("https://mixed.test/"), within=OPEN)
    assert [code(error), world.dialled] == ["BLOCKED", []]


def test_every_answer_of_a_resolver_is_checked(world: World) -> None:
    """No resolver gets a forbidden address dialled."""
    world.names = {"careless.test": ["169.254.169.254"]}
    (error,) = asked(row("https://careless.test/"), within=OPEN)
    assert [code(error), world.looked_up, world.dialled] == ["BLOCKED", ["careless.test"], []]


def test_a_refusal_tells_nothing_of_what_is_there(world: World, provider: Provider) -> None:
    """The sentence for an inner address is the same with a server behind it, without one, and by name."""
    world.doors = {"10.0.0.1": provider.port}
    world.names = {"inner.test": ["10.0.0.1"], "other.test": ["10.0.0.2"]}
    urls = [
        "https://10.0.0.1/",
        "https://10.0.0.2/",
        "https://inner.test/",
        "https://other.test/",
        "https://10.0.0.1:22/",
    ]
    said = {
        str(error).replace(parse_url(url).host, "H")
        for url, error in zip(urls, asked(*map(row, urls), within=OPEN), strict=True)
    }
    assert len(said) == 1 and world.dialled == [] and provider.requests == []


# --- the operator's proxy and authorities


def test_a_file_of_authorities_is_trusted_beside_the_public_ones(certificates: Certificates) -> None:
    """A certificate of one's own authority is taken with network.ca_file, and only with it."""
    server = Provider(tls=certificates.server("own"))
    trusting = Settings(network=Network(allow_loopback=True, ca_file=str(certificates.authority)))
    assert [code(result) for result in asked(row(server.url), within=trusting)] == ["OK"]
    assert [code(result) for result in asked(row(server.url), within=settings())] == ["TLS"]
    server.close()


def test_a_file_without_certificates_is_named(provider: Provider) -> None:
    """It is the operator's mistake, not the provider's."""
    wrong = Settings(network=Network(allow_loopback=True, ca_file=__file__))
    (error,) = asked(row(provider.url), within=wrong)
    assert code(error) == "CONFIG" and "ca_file" in str(error)


def through_proxy(
    server: Provider, url: str, authority: str, status: int = 200, **network: object
) -> tuple[str, list[bytes]]:
    """(outcome, what the proxy was told) of asking a URL with a proxy configured."""

    async def run() -> tuple[str, list[bytes]]:
        async with Proxy(server.port, status) as proxy:
            reach = Network(proxy=f"http://localhost:{proxy.port}", ca_file=authority, **network)  # type: ignore[arg-type]
            reranker = Reranker(Settings(network=reach))
            result = await outcome(reranker, row(url))
            await reranker.aclose()
            return ("OK" if result == RIGHT else code(result)), proxy.heads

    return asyncio.run(run())


@pytest.mark.fault("F30")
def test_a_proxy_of_the_configuration_leads_to_public_hosts(
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    dialled: list[str],
) -> None:
    """It looks up and dials; the key goes through TLS behind it; what is blocked stays so; private hosts go without."""
    monkeypatch.setattr(retry, "ATTEMPTS", 1)
    server = Provider(tls=certificates.server("far", host="DNS:far.test,IP:127.0.0.1"))
    authority = str(certificates.authority)
    dialled.clear()
    result, heads = through_proxy(server, "https://far.test/v1/rerank", authority)
    assert result == "OK" and set(dialled) <= {"localhost", "127.0.0.1", "::1"}
    assert [head.split(b"\r\n")[0] for head in heads] == [b"CONNECT far.test:443 HTTP/1.1"]
    assert KEY.encode() not in b"".join(heads)
    for url in ("http://far.test/", "https://127.0.0.1/", "https://[64:ff9b::7f00:1]/"):
        assert through_proxy(server, url, authority) == ("BLOCKED", [])
    assert through_proxy(server, "https://far.test/", authority, allow_hosts=("near.test",)) == ("BLOCKED", [])
    direct = through_proxy(server, server.url, authority, allow_private=("127.0.0.1",))
    assert direct == ("OK", [])
    assert through_proxy(server, "https://far.test/", authority, status=407)[0] == "CONNECT"
    server.close()

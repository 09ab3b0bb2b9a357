"""Arguments that cannot be used: each is named, none is sent."""

from __future__ import annotations

from typing import Any

import pytest

from asking import asked, code, row
from provider import Provider

pytestmark = pytest.mark.usefixtures("dialled")


@pytest.mark.fault("F54")
@pytest.mark.parametrize("query", ["", " ", "\t\n", "\u3000"])
def test_f54_a_blank_query_is_an_error(provider: Provider, query: str) -> None:
    """It is named, and nothing is sent."""
    (error,) = asked(row(provider.url, query=query))
    assert [code(error), provider.requests] == ["BAD_ARGUMENT", []]


@pytest.mark.fault("F55", "F57")
@pytest.mark.parametrize("less", [{"documents": []}, {"top_k": 0}, {"documents": [], "query": ""}])
def test_f55_nothing_asked_is_nothing_sent(provider: Provider, less: dict[str, Any]) -> None:
    """No documents, or none wanted, give none."""
    assert asked(row(provider.url, **less)) == [[]]
    assert not provider.requests


@pytest.mark.fault("F56")
def test_f56_blank_documents_are_not_sent_and_shift_nothing(provider: Provider) -> None:
    """Positions are those of the input; blanks rank last, unscored; only blanks send nothing."""
    mixed, blank = asked(
        row(provider.url, documents=["", "zebra", " \n", "one zebra"], top_k=9),
        row(provider.url, documents=["", " "], top_k=9),
    )
    assert repr(mixed) == "[(3, 1.0), (1, 0.5), (0, nan), (2, nan)]"
    assert repr(blank) == "[(0, nan), (1, nan)]"
    assert [request.json["documents"] for request in provider.requests] == [["zebra", "one zebra"]]


@pytest.mark.fault("F57")
@pytest.mark.parametrize(("top_k", "length"), [(1, 1), (4, 4), (5, 4), (2**32 - 1, 4)])
def test_f57_more_than_there_are_is_all_there_are(provider: Provider, top_k: int, length: int) -> None:
    """The result and the request's own limit are cut to the number of documents."""
    (result,) = asked(row(provider.url, top_k=top_k))
    assert isinstance(result, list) and len(result) == length
    assert provider.requests[0].json["top_n"] == length


@pytest.mark.fault("F58")
@pytest.mark.parametrize(
    ("others", "names"),
    [
        ("null", "others"),
        ("[]", "others"),
        ("x", "others"),
        ("{", "others"),
        ("{} {}", "others"),
        ('{"model":"a","model":"b"}', "'model' twice"),
        ('{"modle":"canary-value"}', "'modle'"),
        ('{"model":5}', "others.model"),
        ('{"timeout_s":0}', "others.timeout_s"),
        ('{"timeout_s":1e9}', "others.timeout_s"),
        ('{"timeout_s":NaN}', "others"),
        ('{"timeout_s":true}', "others.timeout_s"),
        ('{"normalize":"canary-value"}', "others.normalize"),
        ('{"model_args":' * 1000 + "{}" + "}" * 1000, "others"),
        ("[" * 1_000_000, "others"),
        ('{"model":"%s"}' % ("canary-value" * 900_000), "others"),
    ],
    ids=lambda text: text[:30],
)
def test_f58_others_that_cannot_be_used_name_the_key(provider: Provider, others: str, names: str) -> None:
    """The key is named, its value is not repeated, nothing is sent."""
    (error,) = asked(row(provider.url, others=others))
    assert [code(error), provider.requests] == ["BAD_OTHERS", []]
    assert names in str(error)
    assert "canary-value" not in str(error)


@pytest.mark.fault("F58", "F59")
@pytest.mark.parametrize(("name", "others"), [("Cohere", ""), ("cohere", "{}"), ("COHERE", " {} "), (" Cohere ", "")])
def test_f58_no_others_and_any_case_of_the_name_will_do(provider: Provider, name: str, others: str) -> None:
    """An absent and an empty object are the same, and so are a provider's spellings."""
    assert [code(result) for result in asked(row(provider.url, provider=name, others=others))] == ["OK"]


@pytest.mark.fault("F59")
@pytest.mark.parametrize("name", ["", "Coheer", "cohere\n\x00x", "\u212aohere"])
def test_f59_an_unknown_provider_lists_the_known_ones(provider: Provider, name: str) -> None:
    """The names that would do are in the message."""
    (error,) = asked(row(provider.url, provider=name))
    assert [code(error), provider.requests] == ["UNKNOWN_PROVIDER", []]
    assert "Cohere" in str(error)


@pytest.mark.fault("F60")
@pytest.mark.parametrize(
    "key",
    ["a\r\nX: canary", "canary\0", "canary\tkey", "canary-\u010a", " canary", "canary\n", "canary key", "c" * 2**20],
    ids=lambda key: ascii(key[:12]),
)
def test_f60_a_key_that_is_no_key_never_leaves(provider: Provider, dialled: list[str], key: str) -> None:
    """It is refused before anything is dialled, and not repeated."""
    dialled.clear()
    (error,) = asked(row(provider.url, key=key))
    assert [code(error), dialled] == ["BAD_KEY", []]
    assert "canary" not in str(error)


@pytest.mark.fault("F60")
def test_f60_a_missing_key_is_named(provider: Provider) -> None:
    """A provider that needs a key is not asked without one."""
    (error,) = asked(row(provider.url, key=""))
    assert [code(error), provider.requests] == ["BAD_KEY", []]


@pytest.mark.fault("F61")
@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1/v1",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//127.0.0.1/",
        "http://user:pass@127.0.0.1/",
        "http://127.0.0.1\\@example.com/",
        "http://127.0.0.1/#x",
        "http://127.0.0.1/?x=1",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:99999999999999999999/",
        "http://\u0430pple.com/",
        "http://ex\u00e4mple.com/",
        "http://127.0.0.1/%2e%2e/",
        "http://127.0.0.1/../x",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://\u2460\u2461\u2466.0.0.1/",
        "http://127.0.0.1 /",
        "http://127.0.0.1\r\nX: y/",
        "http://[::1/",
        "http:///v1",
        "https://" + "a" * 65_536 + ".com/",
        "\x00",
    ],
    ids=lambda url: ascii(url[:30]),
)
def test_f61_a_url_that_is_not_plain_is_refused_unseen(dialled: list[str], url: str) -> None:
    """Nothing is looked up, nothing is dialled."""
    dialled.clear()
    (error,) = asked(row(url))
    assert [code(error), dialled] == ["BAD_URL", []]


@pytest.mark.fault("F61")
@pytest.mark.parametrize("url", ["http://192.0.2.1/", "https://10.0.0.1/", "https://[fd00::1]/", "http://example.com/"])
def test_f61_a_host_that_is_not_allowed_is_refused_unseen(dialled: list[str], url: str) -> None:
    """Private addresses, and plain http to any but loopback, are refused before a look-up."""
    dialled.clear()
    (error,) = asked(row(url))
    assert [code(error), dialled] == ["BLOCKED", []]


@pytest.mark.fault("F62")
@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", "/v1/rerank"),
        ("/", "/v1/rerank"),
        ("/v1", "/v1/rerank"),
        ("/v1/", "/v1/rerank"),
        ("/v1/rerank", "/v1/rerank"),
        ("/v1/rerank/", "/v1/rerank"),
        ("/org/api", "/org/api/v1/rerank"),
        ("/org/api/v1/rerank", "/org/api/v1/rerank"),
    ],
)
def test_f62_any_way_to_write_the_url_means_the_same_path(provider: Provider, given: str, path: str) -> None:
    """Root, prefix, version and full path, with and without a slash at the end."""
    assert [code(result) for result in asked(row(provider.url + given))] == ["OK"]
    assert provider.requests[0].path == path

"""`others.listwise`: what the caller knows of a model behind an alias counts, not the model's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from asking import DOCUMENTS, RIGHT, asked, code, row, settings
from clickhouse_rerank.config.credentials import Credential
from clickhouse_rerank.config.settings import Settings
from clickhouse_rerank.config.tables import CacheSettings
from clickhouse_rerank.errors import CallerError
from clickhouse_rerank.providers import PROVIDERS
from clickhouse_rerank.request.endpoint import resolve
from clickhouse_rerank.types import Secret
from provider import Provider
from resolved import resolved


def sent(provider: Provider) -> list[list[str]]:
    """The documents of each request so far."""
    return [request.json["documents"] for request in provider.requests]


def test_a_list_for_a_listwise_alias_is_not_split(provider: Provider) -> None:
    """Over the limit it is refused, and nothing is sent; within it, it is one request, equal documents included."""
    alias = {"model": "alias", "listwise": True, "batch_size": 3}
    over, within = (
        row(provider.url, documents=["a zebra", *DOCUMENTS[: n - 2], "a zebra"], others=alias) for n in (4, 3)
    )
    refused, ranking = asked(over, within)
    assert code(refused) == "BAD_ARGUMENT"
    assert "at most 3 documents. The model alias scores documents against each other" in str(refused)
    assert not isinstance(ranking, Exception)
    assert sent(provider) == [["a zebra", DOCUMENTS[0], "a zebra"]]


def test_a_server_that_names_no_model_can_be_listwise(provider: Provider) -> None:
    """The sentence does without a name."""
    (error,) = asked(row(f"{provider.url}/rerank", provider="TEI", others={"listwise": True, "batch_size": 2}))
    assert "at most 2 documents. Its model scores documents against each other" in str(error)
    assert provider.requests == []


def test_a_model_named_listwise_may_be_declared_pointwise(provider: Provider) -> None:
    """`false` overrides the name: the list is split."""
    members = {"model": "our-listwise-v2", "batch_size": 2}
    as_named, as_declared = (row(provider.url, others={**members, **more}) for more in ({}, {"listwise": False}))
    refused, ranking = asked(as_named, as_declared)
    assert code(refused) == "BAD_ARGUMENT"
    assert ranking == RIGHT
    assert sent(provider) == [list(DOCUMENTS[:2]), list(DOCUMENTS[2:])]


def test_scores_of_a_listwise_alias_are_cached_by_call(provider: Provider, tmp_path: Path) -> None:
    """One more document asks about the whole list; pairs that were cached as pointwise ones are not used."""
    within = settings(cache=CacheSettings(memory_s=0, path=str(tmp_path / "scores")))
    alias = {"listwise": True}
    three, four = list(DOCUMENTS[:3]), list(DOCUMENTS)
    rows = [row(provider.url, documents=texts, others=alias) for texts in (three, three, four)]
    rows += [row(provider.url, documents=three), row(provider.url, documents=four)]
    assert asked(*rows, within=within) == [RIGHT] * 5
    assert sent(provider) == [three, four, three, four[3:]]


def test_memory_does_not_answer_a_listwise_call_with_scores_of_a_split_one(provider: Provider) -> None:
    """The same call, declared otherwise, is another call."""
    within = settings(cache=CacheSettings(memory_s=60))
    first, again, declared = (
        row(provider.url, others={"listwise": how} if how else {}) for how in (False, False, True)
    )
    assert asked(first, again, declared, within=within) == [RIGHT] * 3
    assert sent(provider) == [list(DOCUMENTS)] * 2


def test_a_credential_may_say_that_its_model_is_listwise() -> None:
    """Where SQL says nothing; SQL may say otherwise, as of each default of a credential."""
    known = {"c": Credential("c", "cohere", Secret("k"), default=True, others={"model": "alias", "listwise": True})}
    assert resolve("Cohere", "", "", "", Settings(known)).is_listwise
    assert not resolve("Cohere", "", "", '{"listwise":false}', Settings(known)).is_listwise


def test_every_provider_that_is_asked_takes_it() -> None:
    """And BM25, whose scores are the worker's own, does not."""
    for record in PROVIDERS.values():
        if "listwise" in record.options:
            base_url = "" if record.url or record.aws else "http://h"
            base_url = "name" if record.name == "SageMaker" else base_url
            for how in (True, False):
                assert resolved(record.name, base_url, listwise=how).is_listwise is how
    assert {record.name for record in PROVIDERS.values() if "listwise" not in record.options} == {
        "Anthropic", "BM25", "Chat", "Cloudflare", "CrossEncoder", "Gemini", "Ollama", "OpenAI", "SGLang", "TypeSafe",
    }  # fmt: skip
    with pytest.raises(CallerError, match="BM25 has no key 'listwise' in others"):
        resolve("BM25", "", "", '{"listwise":true}', Settings())

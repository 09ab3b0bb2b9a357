"""The table of providers is complete, consistent, and told the same everywhere."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from clickhouse_rerank.commands import cli, functions, providers
from clickhouse_rerank.errors import CODES
from clickhouse_rerank.providers import PROVIDERS, Provider, RequestLimits
from clickhouse_rerank.providers.base_url import parse_url
from clickhouse_rerank.providers.wires import QUESTION_WIRES, RANKING_WIRES, WIRES

NAMES = {
    "Anthropic", "Azure", "Bedrock", "BM25", "Chat", "Cloudflare", "Cohere", "Contextual", "CrossEncoder", "Custom",
    "DashScope", "DeepInfra", "Elasticsearch", "Fireworks", "Gemini", "Google", "HuggingFace", "Infinity", "Jina",
    "LiteLLM", "LlamaCpp", "LocalAI", "Mixedbread", "Nebius", "NIM", "NVIDIA", "Ollama", "OpenAI", "OpenRouter",
    "Pinecone", "SageMaker", "SGLang", "SiliconFlow", "TEI", "Together", "TypeSafe", "Vercel", "vLLM", "Voyage",
    "Xinference", "ZeroEntropy",
}  # fmt: skip

RECORDS = [(record.name, record) for record in PROVIDERS.values()]
RECORDS += [(f"{name} at {part}", variant) for name, record in list(RECORDS) for part, variant in record.variants]
RECORDS += [(f"{name}, {how}", variant) for name, record in list(RECORDS) for how, variant in record.by_method.items()]
CHAT_WIRES = {"chat_question", *RANKING_WIRES}


def test_who_is_there() -> None:
    """Nobody left without notice."""
    assert {record.name for record in PROVIDERS.values()} == NAMES


@pytest.mark.parametrize("record", [record for _, record in RECORDS], ids=[name for name, _ in RECORDS])
def test_a_record_is_consistent(record: Provider) -> None:
    """Its wires exist, its URL is its path on a host over TLS, its regular expressions compile, its model is alive."""
    assert record.key in ("required", "optional", "none")
    assert (record.wire in WIRES) != (record.key == "none")
    assert set(record.wire_limits) <= set(WIRES)
    assert ("wire" in record.options) >= bool(record.wire_limits or record.by_wire)
    assert set(record.by_wire) <= set(QUESTION_WIRES)
    asked = {"question", "criteria"} & set(record.options)  # what is asked is no member of the body
    assert bool(asked) == (record.wire in QUESTION_WIRES)
    re.compile(record.listwise)
    for option in record.options.values():
        re.compile(option.pattern)
    places = {name for name, option in record.options.items() if option.in_template} | {"model"}
    for template in (record.url, record.path, *record.headers.values()):
        assert set(re.findall(r"\{(\w+)\}", template)) <= places
    if record.url and record.path != "/":
        assert parse_url(re.sub(r"\{\w+\}", "x", record.url)).scheme == "https"
    wires = [WIRES[wire] for wire in (record.wire, *record.wire_limits) if wire]
    reserved = {member for wire in wires for member in wire.RESERVED_MEMBERS}
    assert not reserved & (set(record.fixed) | {option.field for option in record.options.values()})
    for rule in record.error_rules:
        assert rule.words or rule.name or rule.wait_member
        assert rule.name_header == rule.name_header.lower() and all(400 <= status < 600 for status in rule.statuses)
        assert rule.meaning.code in CODES and rule.meaning.remedy.format(key="api_key").endswith(".")
        re.compile(rule.words)
        re.compile(rule.name)
    assert record.model not in record.retired
    assert not record.needs_model or (not record.model and "model" in record.options)
    assert record.env == "" or record.url
    # a chat model has a window or one document in a request
    assert ("batch_size" in record.options) == (record.key != "none" and record.wire not in CHAT_WIRES)
    assert set(record.by_method) < set(record.options["method"].choices if record.by_method else {""})
    assert ("window" in record.options) == (record.wire in RANKING_WIRES)
    assert (record.max_tokens_per_doc is not None) == (record.wire in CHAT_WIRES)


@pytest.mark.parametrize("record", [record for record in PROVIDERS.values() if record.url and record.path != "/"])
def test_the_default_url_is_the_own_path_of_a_host(record: Provider) -> None:
    """So that a host alone, as base_url, means the documented URL."""
    assert record.url == "/".join(record.url.split("/")[:3]) + record.path


def test_variables_are_not_shared() -> None:
    """One key must not go to two vendors, and each variable is one credential."""
    shared = [name for name, count in Counter(r.env for r in PROVIDERS.values() if r.env).items() if count > 1]
    assert shared == []


def test_the_stricter_limit_counts() -> None:
    """Each number for itself; nothing stated is no limit."""
    one, other = RequestLimits(documents=10, body_bytes=5), RequestLimits(documents=3, text_chars=7)
    assert one.within(other) == other.within(one) == RequestLimits(documents=3, body_bytes=5, text_chars=7)
    assert RequestLimits().within(RequestLimits()) == RequestLimits()


LISTWISE = (
    ("Jina", "jina-reranker-v3", True),
    ("Jina", "jina-reranker-v2-base-multilingual", False),
    ("Xinference", "jina-reranker-v3.5", True),
    ("vLLM", "jinaai/jina-reranker-v3", True),
    ("Mixedbread", "mixedbread-ai/mxbai-rerank-v3-listwise", True),
    ("Mixedbread", "mixedbread-ai/mxbai-rerank-large-v2", False),
    ("Cohere", "rerank-v3.5", False),
    ("TEI", "", False),
)


@pytest.mark.parametrize(("provider", "model", "listwise"), LISTWISE)
def test_which_models_are_listwise(provider: str, model: str, listwise: bool) -> None:
    """By the model's name, wherever it runs."""
    assert PROVIDERS[provider.lower()].is_listwise(model) is listwise


def test_the_command_prints_every_provider(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, in columns or in Markdown, with what a user must know to choose."""
    assert cli.main(["providers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(PROVIDERS) >= 28
    assert [line.split()[0] for line in lines[1:]] == [record.name for record in PROVIDERS.values()]
    (cohere,) = [re.split(r"  +", line) for line in lines if line.startswith("Cohere ")]
    assert cohere == [
        "Cohere", "https://api.cohere.ai/v1/rerank", "rerank-v3.5", "Bearer", "999 documents", "pointwise", "0 to 1",
    ]  # fmt: skip
    (jina,) = [line for line in lines if line.startswith("Jina ")]
    assert "listwise" in jina
    assert cli.main(["providers", "--format", "markdown"]) == 0
    out = capsys.readouterr().out
    assert out == providers.markdown()
    assert "| `Cohere` | `https://api.cohere.ai/v1/rerank` | `rerank-v3.5` | Bearer | 999 documents |" in out
    assert {line.count("|") for line in out.splitlines()} == {8}


def test_every_provider_has_a_wrapper() -> None:
    """Under its own name, which is an identifier; what it leaves out, the server's default credential supplies."""
    statements = dict(functions.statements())
    scoring = {f"{name}Score" for name in NAMES if name != "BM25"}
    assert set(statements) == {f"{name}Rerank" for name in NAMES} | {"RerankScore"} | scoring
    del statements["RerankScore"]
    for name, statement in statements.items():
        assert name.isidentifier()
        assert f"'{name.removesuffix('Rerank').removesuffix('Score')}', '', '', ''" in statement

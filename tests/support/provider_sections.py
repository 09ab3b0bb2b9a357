"""The generated part of docs/providers.md: a table for each provider, and a query for both ways to pass a key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from clickhouse_rerank.commands import providers
from clickhouse_rerank.providers import PROVIDERS, Option, Provider
from clickhouse_rerank.providers.shared_options import NETWORK_MODEL

_ASK = "'how do I reset my password',\n    ['Shipping takes two weeks.', 'To reset your password, open Settings.'], 1"
_COMMON = {*NETWORK_MODEL, "on_error", "fallback"}


@dataclass(frozen=True)
class Example:
    """What a query must contain besides the key."""

    base_url: str = ""
    others: Mapping[str, str] = field(default_factory=dict)


_AWS = {"region_name": "us-east-1"}
_EXAMPLES: Mapping[str, Example] = {
    "Azure": Example("https://my-resource.services.ai.azure.com"),
    "Google": Example(others={"project": "my-project"}),
    "Cloudflare": Example(others={"account_id": "0123456789abcdef"}),
    "Ollama": Example("http://localhost:11434", {"model": "nimble"}),
    "Chat": Example("http://localhost:8000/v1", {"model": "Qwen/Qwen3-8B"}),
    "Anthropic": Example(others={"model": "claude-haiku-4-5"}),
    "SGLang": Example("http://localhost:30000"),
    "SageMaker": Example("my-reranker", _AWS),
    "Bedrock": Example(others=_AWS),
    "LocalAI": Example("http://localhost:8080", {"model": "jina-reranker-v1-base-en"}),
    "LiteLLM": Example("http://localhost:4000", {"model": "my-reranker"}),
    "TEI": Example("http://localhost:3000"),
    "Infinity": Example("http://localhost:7997"),
    "vLLM": Example("http://localhost:8000"),
    "LlamaCpp": Example("http://localhost:8080"),
    "Xinference": Example("http://localhost:9997", {"model": "bge-reranker-v2-m3"}),
    "NIM": Example("http://localhost:8000"),
    "Elasticsearch": Example("http://localhost:9200"),
    "Custom": Example("http://localhost:1234/rank"),
}
_REQUIRED = {
    "required": "`base_url`, which is required",
    "required: the endpoint's name": "the endpoint that `base_url` names; it is required",
}


def described(option: Option) -> str:
    """Type, choices and bounds of a key, as text."""
    if option.choices:
        return " or ".join(f"`{choice}`" for choice in option.choices)
    low, high = (f"{bound:g}" if bound is not None else "" for bound in (option.low, option.high))
    bounds = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}" if high else ""
    kind = "string" if option.type == "text" else option.type
    return f"{kind}, {bounds}" if bounds else kind


def own_keys(record: Provider) -> str:
    """The keys of `others` that only some providers accept, as text; "" for none."""
    known = dict(record.options)
    for _, variant in (*record.variants, *record.by_method.items()):
        known |= variant.options
    return ", ".join(f"`{key}` ({described(option)})" for key, option in known.items() if key not in _COMMON)


def section(record: Provider) -> str:
    """The generated part of a provider's section."""
    return f"{_table(record)}\n{_blocks(record)}"


def _table(record: Provider) -> str:
    _, url, model, key, limits, scoring, scores = next(row for row in providers.rows() if row[0] == record.name)
    rows = {
        "requests go to": f"`{url}`" if "://" in url else _REQUIRED.get(url, url),
        "model": f"`{model}`" if record.model else model,
        "key": key + (f"; in the embedded engine, the variable `{record.env}`" if record.env else ""),
        "limits of a request": limits,
        "scores": f"{scores}; {scoring}",
        "own keys of `others`": own_keys(record),
    }
    lines = "".join(f"| {name} | {value} |\n" for name, value in rows.items() if value)
    return f"| | |\n|---|---|\n{lines}"


def _blocks(record: Provider) -> str:
    wrapper = f"```sql\nSELECT {record.name}Rerank({_ASK});\n```\n"
    if record.key == "none":
        return f"{wrapper}\n```sql\n{_call(record, '', '', {})}\n```\n"
    example = _EXAMPLES.get(record.name, Example())
    others = dict(example.others)
    if record.aws:
        others = {"access_key_id": "YOUR_AWS_ACCESS_KEY_ID", **others}
    call = f"```sql\n{_call(record, example.base_url, _key(record), others)}\n```\n"
    return f"```toml\n{_credential(record, example)}```\n\n{wrapper}\n{call}"


def _key(record: Provider) -> str:
    """The placeholder for a key in SQL."""
    if record.aws:
        return "YOUR_AWS_SECRET_ACCESS_KEY"
    return f"YOUR_{(record.env or record.name.upper() + '_TOKEN')}" if record.key == "required" else ""


def _call(record: Provider, base_url: str, key: str, others: Mapping[str, str]) -> str:
    text = json.dumps(others, separators=(",", ":")) if others else ""
    return f"SELECT Rerank({_ASK},\n    '{record.name}', '{base_url}', '{key}', '{text}');"


def _credential(record: Provider, example: Example) -> str:
    others = dict(example.others)
    if record.aws:
        others = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", **others}
    name = record.name.lower()
    lines = [f"[credentials.{name}]", f'provider = "{record.name}"']
    if record.key == "required":
        lines.append(f'api_key_file = "/run/secrets/{name}"')
    if example.base_url:
        lines.append(f'base_url = "{example.base_url}"')
    if "model" in others:
        lines.append(f'model = "{others.pop("model")}"')
    if others:
        lines.append("others = { " + ", ".join(f'{key} = "{value}"' for key, value in others.items()) + " }")
    lines.append("default = true")
    if example.base_url.startswith("http://"):
        lines += ["", "[network]", f'allow_private = ["{example.base_url.split("/")[2]}"]']
    return "\n".join(lines) + "\n"


SECTIONS = {record.name: section(record) for record in PROVIDERS.values()}

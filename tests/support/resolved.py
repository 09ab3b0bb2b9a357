"""A provider's endpoint from the least that SQL must say."""

from __future__ import annotations

import json
from collections.abc import Mapping

from clickhouse_rerank.config.settings import Settings
from clickhouse_rerank.request.endpoint import Endpoint, resolve

AWS = {"access_key_id": "AKID", "region_name": "eu-central-1"}


NEEDED: Mapping[str, Mapping[str, object]] = {
    "Anthropic": {"model": "m"},
    "Bedrock": AWS,
    "Chat": {"model": "m"},
    "SageMaker": AWS,
    "Cloudflare": {"account_id": "a1b2"},
    "Google": {"project": "my-project"},
    "LiteLLM": {"model": "m"},
    "LocalAI": {"model": "m"},
    "Ollama": {"model": "m"},
    "Xinference": {"model": "m"},
}
"""What others must say, by provider."""


def resolved(
    provider: str, base_url: str = "", key: str = "key", settings: Settings | None = None, **others: object
) -> Endpoint:
    members = {**NEEDED.get(provider, {}), **others}
    text = json.dumps(members) if members else ""
    return resolve(provider, base_url, key, text, settings or Settings())

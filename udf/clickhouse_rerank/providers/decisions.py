"""Decision models: APIs that answer a yes/no question about each document with a probability.

Some providers serve nothing else; others serve them beside rerank models, where others.wire or the path of base_url
says so. Sources: the vendors' API references; see each wire.
"""

from collections.abc import Mapping
from dataclasses import replace

from .error_rules import TOO_LARGE, WRONG_KEY, ErrorRule
from .record import Option, Provider, RequestLimits
from .shared_options import NETWORK_MODEL

_COMPLETE = r".*/(systemone|decisions)"
_POINTWISE = r"(?!)"
_ERRORS = (
    ErrorRule(TOO_LARGE, statuses=(400, 422), name=r"max_tokens|context_length", name_members=("error_type", "code")),
)
_OPTIONS = {
    **{name: option for name, option in NETWORK_MODEL.items() if name != "listwise"},
    "question": Option("text", "question"),
    "criteria": Option("object", "criteria"),
    "bytes_per_token": Option("number", low=0.5, high=16),
}


def _served(record: Provider) -> Provider:
    """The record of a decision model's API, with what all of them share."""
    return replace(
        record,
        complete=_COMPLETE,
        listwise=_POINTWISE,
        scores="a probability",
        takes_top_n=False,
        error_rules=(*record.error_rules, *_ERRORS),
        options={**_OPTIONS, **record.options},
    )


DECISIONS = tuple(
    map(
        _served,
        (
            Provider(
                name="TypeSafe",
                wire="systemone",
                url="https://api.typesafe.ai/v1/systemone",
                path="/v1/systemone",
                env="TYPESAFE_API_KEY",
                model="jev-latest",
                limits=RequestLimits(tokens=64_000),
            ),
            Provider(
                name="OpenAI",
                wire="decisions",
                url="https://api.openai.com/v1/decisions",
                path="/v1/decisions",
                key_prefix="sk-",
                env="OPENAI_API_KEY",
                model="gpt-6-luna",
                limits=RequestLimits(documents=400),
            ),
            Provider(
                name="Gemini",
                wire="gemini_decisions",
                url="https://generativelanguage.googleapis.com/v1/decisions",
                path="/v1/decisions",
                key_header="x-goog-api-key",
                key_format="{}",
                key_prefix="AIza",
                env="GEMINI_API_KEY",
                model="gemini-decision-1",
                limits=RequestLimits(documents=1000, tokens=262_144),
                error_rules=(ErrorRule(WRONG_KEY, statuses=(400,), words=r"API key not valid"),),
            ),
            Provider(
                name="Cloudflare",
                wire="systemone",
                url="https://api.cloudflare.com/client/v4/accounts/{account_id}/ai/run/@cf/cloudflare/{model}",
                path="/client/v4/accounts/{account_id}/ai/run/@cf/cloudflare/{model}",
                env="CLOUDFLARE_API_TOKEN",
                model="clef-flash",
                limits=RequestLimits(documents=64, tokens=65_536),
                options={"account_id": Option("text", credential_only=True, in_template=True)},
            ),
            Provider(name="Ollama", wire="systemone", path="/v1/systemone", key="optional", needs_model=True),
            Provider(name="SGLang", wire="systemone", path="/v1/systemone", key="optional"),
        ),
    )
)
"""Providers that serve decision models."""

_BESIDE: Mapping[str, Mapping[str, str]] = {
    "OpenRouter": {"systemone": "/api/v1/systemone"},
    "Fireworks": {"systemone": "/inference/v1/systemone", "decisions": "/inference/v1/decisions"},
    "Vercel": {"decisions": "/v1/decisions"},
    "LiteLLM": {"systemone": "/v1/systemone", "decisions": "/v1/decisions"},
    "vLLM": {"systemone": "/v1/systemone"},
    "LlamaCpp": {"systemone": "/v1/systemone"},
}
"""Provider -> the wires that it also serves, with their paths."""

_OTHER_PATHS: Mapping[str, Mapping[str, str]] = {"OpenRouter": {"/alpha/decisions/": "systemone"}}
"""Provider -> (part of a path where it also serves a wire, the wire)."""


def with_decisions(record: Provider) -> Provider:
    """The record of a provider that serves decision models beside rerank models, with a record for each wire."""
    paths = _BESIDE.get(record.name)
    if not paths:
        return record
    # The wire decides the path that a key is sent to.
    wire = {"wire": Option("text", choices=tuple(paths), credential_only=True)}
    host = "/".join(record.url.split("/")[:3])
    served = {
        name: _served(
            replace(
                record,
                wire=name,
                url=f"{host}{path}" if record.url else "",
                path=path,
                model="",
                needs_model=record.name not in ("vLLM", "LlamaCpp"),
                limits=RequestLimits(),
                fixed={},
                options=wire,
                variants=(),
            )
        )
        for name, path in paths.items()
    }
    return replace(
        record,
        options={**record.options, **wire},
        variants=(
            *record.variants,
            *((f"/{name}/", one) for name, one in served.items()),
            *((part, served[name]) for part, name in _OTHER_PATHS.get(record.name, {}).items()),
        ),
        by_wire=served,
    )

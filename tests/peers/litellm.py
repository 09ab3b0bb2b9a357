"""LiteLLM's proxy in front of Infinity: its own rerank routes, and a path it passes through."""

import contextlib
import json
from collections.abc import Iterator

from .checks import Checks
from .environment import FOLDER, environment
from .infinity import KEY as UPSTREAM_KEY
from .infinity import MODEL as UPSTREAM_MODEL
from .infinity import serving
from .server import free_port, running

KEY = "sk-litellm-peer-3f9a"  # its well-known default is refused
MODEL = {"model": "reranker"}
# /v1/rerank as a pass-through is ignored in favour of the proxy's own route.
_PASSED = "/passed/rerank"


def check(checks: Checks) -> None:
    """The proxy with a keyed Infinity behind it."""
    with (
        serving("litellm-upstream", "--api-key", UPSTREAM_KEY, "--url-prefix", "/v1") as upstream,
        proxy("litellm", _config(f"{upstream}/v1")) as root,
    ):
        _ranks(checks, root)
        _refusals(checks, root)


@contextlib.contextmanager
def proxy(name: str, settings: dict[str, object]) -> Iterator[str]:
    """LiteLLM's proxy with these settings; yields its root URL."""
    programs = environment("litellm")
    config = FOLDER / f"{name}.json"  # YAML is what it wants, and JSON is YAML
    config.write_text(json.dumps(settings))
    port = free_port()
    command = [programs / "litellm", "--config", config, "--host", "127.0.0.1", "--port", port, "--num_workers", 1]
    root = f"http://127.0.0.1:{port}"
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_DOCS": "True"}
    with running(name, command, f"{root}/health/liveliness", **quiet):
        yield root


def _config(upstream: str) -> dict[str, object]:
    def model(name: str, base: str, key: str) -> dict[str, object]:
        reached = {"model": f"infinity/{UPSTREAM_MODEL}", "api_base": base, "api_key": key}
        return {"model_name": name, "litellm_params": reached, "model_info": {"mode": "rerank"}}

    passed = {
        "path": _PASSED,
        "target": f"{upstream}/rerank",
        "headers": {"Authorization": f"Bearer {UPSTREAM_KEY}", "Content-Type": "application/json"},
    }
    return {
        "model_list": [
            model(MODEL["model"], upstream, UPSTREAM_KEY),
            model("wrong-key", upstream, "sk-wrong-upstream"),
            model("unreachable", f"http://127.0.0.1:{free_port()}/v1", UPSTREAM_KEY),
        ],
        "general_settings": {"master_key": KEY, "pass_through_endpoints": [passed]},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }


def _ranks(checks: Checks, root: str) -> None:
    for path in ("", "/v1", "/v2", "/rerank", "/v1/rerank", "/v2/rerank"):
        checks.ranks(f"LiteLLM at {path or 'its host alone'}", "LiteLLM", root + path, KEY, MODEL)
    checks.ranks_rows("200 rows in one query", "LiteLLM", f"{root}/v1/rerank", KEY, MODEL)
    checks.ranks("LocalAI at /v1/rerank", "LocalAI", f"{root}/v1/rerank", KEY, MODEL)
    for provider in ("LiteLLM", "LocalAI"):
        checks.ranks(f"{provider} at the pass-through", provider, root + _PASSED, KEY, {"model": UPSTREAM_MODEL})
    # What LiteLLM promises: clients of these APIs work unchanged.
    for version in ("v1", "v2"):
        checks.ranks(f"Cohere at /{version}/rerank", "Cohere", f"{root}/{version}/rerank", KEY, MODEL)
    checks.ranks("Jina at /v1/rerank", "Jina", f"{root}/v1/rerank", KEY, MODEL)
    echo = {**MODEL, "model_args": {"return_documents": True}}
    checks.ranks("documents echoed as objects", "LiteLLM", f"{root}/v1/rerank", KEY, echo)


def _refusals(checks: Checks, root: str) -> None:
    url = f"{root}/v1/rerank"
    checks.fails("no key", "AUTH", "LiteLLM", url, "", MODEL, says="No api key passed in")
    # Without a database of keys the proxy calls a wrong one a bad request, 400, of a type that says what it is about.
    checks.fails("a wrong key", "AUTH", "LiteLLM", url, "sk-wrong-peer", MODEL, says="No connected db")
    checks.fails("a wrong key upstream", "AUTH", "LiteLLM", url, KEY, {"model": "wrong-key"}, says="Unauthorized")
    checks.fails("a model it does not have", "BAD_REQUEST", "LiteLLM", url, KEY, {"model": "nope"}, says="nope")
    checks.fails("an upstream that is down", "PROVIDER", "LiteLLM", url, KEY, {"model": "unreachable"}, says="500")
    many = [f"sunny day {number}" for number in range(2_049)]  # equal ones would be sent once
    checks.fails("what the upstream refuses", "BAD_REQUEST", "LiteLLM", url, KEY, MODEL, documents=many, says="422")
    passed, model = root + _PASSED, {"model": UPSTREAM_MODEL}
    checks.fails("the same passed through", "BAD_REQUEST", "LiteLLM", passed, KEY, model, documents=many, says="2048")

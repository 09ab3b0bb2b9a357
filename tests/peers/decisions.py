"""Decision models: a strict server of their contract, and the vendors' clients, whose requests ours must equal."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .checks import BERLIN, DOCUMENTS, PARIS, RANKING, Checks
from .environment import environment
from .litellm import KEY as GATEWAY_KEY
from .litellm import proxy
from .server import free_port, running

_HERE = Path(__file__).parent
_PAIRS = _HERE.parent / "providers" / "recorded_pairs"
_WIRE = {"wire": "systemone"}
_KEY = "key-peer"
_SERVED = (
    ("TypeSafe", "", _KEY, None),
    ("Ollama", "", "", {"model": "words"}),
    ("SGLang", "", "", None),
    ("vLLM", "", "", _WIRE),
    ("LlamaCpp", "/v1/systemone", "", None),
    ("LiteLLM", "", "", {**_WIRE, "model": "words"}),
    ("OpenRouter", "/v1/systemone", _KEY, {"model": "words"}),
    ("Custom", "/systemone", "", _WIRE),
)
"""(provider, path of base_url, key, others) of those who speak the contract."""


@contextlib.contextmanager
def serving(name: str, *arguments: str) -> Iterator[str]:
    """jev-compatible-server with a scorer of its own; yields its root URL."""
    programs, port = environment("decisions"), free_port()
    root = f"http://127.0.0.1:{port}"
    command = [programs / "python", _HERE / "systemone_server.py", port, *arguments]
    with running(name, command, f"{root}/health"):
        yield root


def check(checks: Checks) -> None:
    """The server, a gateway in front of it, a server that can answer nothing, and the clients."""
    with serving("decisions") as root:
        _ranks(checks, root)
        _refusals(checks, root)
        _gateway(checks, root)
    with serving("decisions-unable", "unsupported") as root:
        checks.fails("a model that cannot answer", "PROTOCOL", "TypeSafe", root, _KEY, says="cannot answer yes/no")
    _clients(checks)


def _ranks(checks: Checks, root: str) -> None:
    for provider, path, key, others in _SERVED:
        checks.ranks(f"{provider} at {path or 'host alone'}", provider, f"{root}{path}", key, others)
    criteria = {"question": "Does it name the city?", "criteria": {"true": "it does", "false": "it does not"}}
    checks.ranks("a question of one's own", "TypeSafe", root, _KEY, criteria)
    checks.ranks("a request for each document", "TypeSafe", root, _KEY, {"batch_size": 1})
    many = [*(f"sunny days {number}" for number in range(500)), *DOCUMENTS]
    checks.orders("500 documents", [500 + at for at in RANKING[:2]], "TypeSafe", root, _KEY, documents=many)
    checks.ranks_rows("200 rows in one query", "TypeSafe", root, key=_KEY)
    blank = ["", BERLIN, "  ", PARIS]
    checks.orders("blank documents come last", [3, 1, 0, 2], "TypeSafe", root, _KEY, documents=blank)


def _gateway(checks: Checks, upstream: str) -> None:
    """LiteLLM's proxy, which speaks both formats and passes them on in one."""
    reached = {"model": "typesafe/jev-latest", "api_base": upstream, "api_key": _KEY}
    settings = {
        "model_list": [{"model_name": "words", "litellm_params": reached}],
        "general_settings": {"master_key": GATEWAY_KEY},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
    }
    with proxy("litellm-decisions", settings) as root:
        for wire in ("systemone", "decisions"):
            others = {"wire": wire, "model": "words"}
            checks.ranks(f"LiteLLM's /v1/{wire}", "LiteLLM", root, GATEWAY_KEY, others)
            checks.fails(f"LiteLLM's /v1/{wire}, a wrong key", "AUTH", "LiteLLM", root, "sk-wrong", others)
        checks.ranks("OpenAI at LiteLLM", "OpenAI", root, GATEWAY_KEY, {"model": "words"})
        checks.ranks("TypeSafe at LiteLLM", "TypeSafe", root, GATEWAY_KEY, {"model": "words"})


def _refusals(checks: Checks, root: str) -> None:
    unknown = {"model_args": {"temperature": 0}}
    checks.fails(
        "a member that the contract lacks", "BAD_REQUEST", "TypeSafe", root, _KEY, unknown, says="not permitted"
    )
    checks.fails("a model's own error", "BAD_REQUEST", "TypeSafe", root, _KEY, documents=["too long"], says="context")
    checks.fails("a path it does not have", "NOT_FOUND", "TypeSafe", f"{root}/v3/systemone", _KEY)


def _clients(checks: Checks) -> None:
    """What the vendors' clients send for the recorded calls."""
    files = [
        _PAIRS / provider / f"{name}.json"
        for provider in ("TypeSafe", "OpenAI", "Gemini")
        for name in ("success", "question")
    ]
    command = [environment("decisions") / "python", _HERE / "decision_clients.py", *files]
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    if len(lines) != len(files):
        checks.holds("the vendors' clients run", False, done.stderr[-500:])
        return
    for file, line in zip(files, lines, strict=True):
        recorded, arrived = json.loads(file.read_text("utf-8"))["request"], json.loads(line)
        kept = {name.lower(): value for name, value in recorded["headers"].items()}
        same = all(arrived["headers"].get(name) == value for name, value in kept.items())
        is_equal = same and (arrived["path"], arrived["json"]) == (recorded["path"], recorded["json"])
        checks.holds(f"{file.parent.name}'s client sends {file.stem} as we do", is_equal, arrived)

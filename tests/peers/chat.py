"""Chat models: llama.cpp's server with a model that writes at random, and the clients, whose requests ours equal."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from clickhouse_rerank.commands.embedded_engine import QueryError

from .checks import DOCUMENTS, Checks
from .environment import FOLDER, environment
from .server import free_port, running

KEY = "sk-chat-peer"
_HERE = Path(__file__).parent
_PAIRS = _HERE.parent / "providers" / "recorded_pairs"
_FILES = ("Chat/success", "Chat/question", "Anthropic/success")
_MODEL = {"model": "tiny-chat"}
_POINTWISE = {**_MODEL, "method": "pointwise"}


def check(checks: Checks) -> None:
    """The server, and the clients."""
    with _serving() as root:
        _orders(checks, root)
        _probabilities(checks, root)
        _refusals(checks, root)
    _clients(checks)


@contextlib.contextmanager
def _serving() -> Iterator[str]:
    programs, port = environment("llama_cpp"), free_port()
    root = f"http://127.0.0.1:{port}"
    command = [programs / "python", _HERE / "chat_server.py", FOLDER / "tiny-chat.gguf", port, KEY]
    with running("chat", command, f"{root}/health"):
        yield root


def _numbers(most: int) -> Mapping[str, object]:
    """others with a schema that allows the numbers of a window only: the model knows none by itself."""
    numbers = {"type": "array", "items": {"enum": list(range(1, most + 1))}, "minItems": 1, "maxItems": 40}
    schema = {"type": "object", "properties": {"ranking": numbers}, "required": ["ranking"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "ranking", "schema": schema}}
    return {**_MODEL, "model_args": {"response_format": wanted}}


def _orders(checks: Checks, root: str) -> None:
    for path in ("", "/v1", "/v1/chat/completions"):
        _is_an_order(checks, f"an order at {path or 'the host alone'}", root + path, _numbers(3), DOCUMENTS)
    many = [f"number {number}" for number in range(100)]
    _is_an_order(checks, "100 documents in windows", root, _numbers(20), many)
    try:  # a strict schema, as it is sent by default: the server takes it, and the model writes any numbers
        checks.holds("the schema as we send it", len(checks.rerank("Chat", root, KEY, _MODEL)) == len(DOCUMENTS))
    except QueryError as error:
        checks.holds("the schema as we send it", "names no passage by its number" in str(error), error)
    free = {**_MODEL, "model_args": {"response_format": None, "max_tokens": 5}}
    checks.fails("text without a number", "PROTOCOL", "Chat", root, KEY, free, says="names no passage by its number")


def _is_an_order(
    checks: Checks, name: str, base_url: str, others: Mapping[str, object], documents: tuple[str, ...] | list[str]
) -> None:
    """Every document once, with the scores of the ranks."""
    count = len(documents)
    try:
        rows = checks.rerank("Chat", base_url, KEY, others, documents=documents)
    except QueryError as error:
        checks.holds(name, False, error)
        return
    scores = [row[2] or 0.0 for row in rows]
    right = all(abs(score - (1 - rank / count)) < 1e-6 for rank, score in enumerate(scores))
    checks.holds(name, right and sorted(row[0] for row in rows) == list(range(count)), rows[:5])


def _probabilities(checks: Checks, root: str) -> None:
    rows = checks.rerank("Chat", root, KEY, _POINTWISE, documents=["a", "b", "a"])
    scores = {row[0]: row[2] for row in rows}
    inside = all(score is not None and 0 <= score <= 1 for score in scores.values())
    checks.holds("probabilities of yes", inside and scores[0] == scores[2] and len(scores) == 3, rows)


def _refusals(checks: Checks, root: str) -> None:
    checks.fails("a wrong key", "AUTH", "Chat", root, "sk-wrong-key", _MODEL)
    checks.fails("no key", "AUTH", "Chat", root, "", _MODEL)
    checks.fails("a path it does not have", "NOT_FOUND", "Chat", f"{root}/v3/chat/completions", KEY, _MODEL)
    long = {**_MODEL, "max_tokens_per_doc": 100_000}
    text = "a word " * 10_000
    checks.fails("a prompt beyond the context", "TOO_LARGE", "Chat", root, KEY, long, documents=[text], says="context")
    wrong = {**_MODEL, "model_args": {"response_format": {"type": "nonsense"}}}
    checks.fails("a format it does not know", "BAD_REQUEST", "Chat", root, KEY, wrong)


def _clients(checks: Checks) -> None:
    """What the vendors' clients send for the recorded calls."""
    files = [_PAIRS / f"{name}.json" for name in _FILES]
    command = [environment("chat") / "python", _HERE / "chat_clients.py", *files]
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

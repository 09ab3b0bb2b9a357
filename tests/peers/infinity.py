"""Infinity (infinity-emb): an inference server with the body that Cohere introduced."""

import contextlib
import time
from collections.abc import Iterator

from clickhouse_rerank.commands.embedded_engine import QueryError

from .checks import BERLIN, DOCUMENTS, PARIS, QUERY, RANKING, WEATHER, Checks, own_record
from .environment import environment, tiny_model
from .server import free_port, running

MODEL = "tiny-ce"
KEY = "sk-infinity-peer"
_WITH_MODEL = {"model": MODEL}
_MAX_CHARACTERS = 122_880  # of a document; a longer one is refused with all of the request echoed
_MAX_DOCUMENTS = 2_048
_IDLE_S = 6.0  # it keeps idle connections for 5 s


@contextlib.contextmanager
def serving(name: str, *arguments: str) -> Iterator[str]:
    """An Infinity with the tiny model; yields its root URL."""
    programs = environment("infinity", torch=True)
    model = tiny_model(programs)
    port = free_port()
    options = ["--model-id", model, "--served-model-name", MODEL, "--engine", "torch", "--device", "cpu"]
    options += ["--no-bettertransformer", "--no-model-warmup", "--dtype", "float32"]
    options += ["--host", "127.0.0.1", "--port", str(port), *arguments]
    root = f"http://127.0.0.1:{port}"
    with running(name, [programs / "infinity_emb", "v2", *options], f"{root}/health"):
        yield root


def check(checks: Checks) -> None:
    """Without a key at the root, then with a key below /v1."""
    with serving("infinity") as root:
        _ranks(checks, root)
        _documents(checks, root)
        _refusals(checks, root)
    with serving("infinity-key", "--api-key", KEY, "--url-prefix", "/v1") as root:
        _keys(checks, f"{root}/v1/rerank")


def _records() -> list[tuple[str, dict[str, object]]]:
    """(provider, others) of each record that speaks to Infinity."""
    own = [(name, dict[str, object]()) for name in own_record("infinity", "custom")]
    return [("LocalAI", dict(_WITH_MODEL)), ("LiteLLM", dict(_WITH_MODEL)), *own]


def _ranks(checks: Checks, root: str) -> None:
    for provider, others in _records():
        checks.ranks(f"{provider} at /rerank", provider, f"{root}/rerank", others=others)
        checks.ranks(f"{provider} at /rerank/", provider, f"{root}/rerank/", others=others)
    for provider in own_record("infinity"):
        checks.ranks(f"{provider} by host alone", provider, root)
    checks.orders("top_k 1", RANKING[:1], "LocalAI", f"{root}/rerank", others=_WITH_MODEL, documents=DOCUMENTS)
    checks.ranks_rows("200 rows in one query", "LocalAI", f"{root}/rerank", others=_WITH_MODEL)
    time.sleep(_IDLE_S)
    checks.ranks("after the server has closed idle connections", "LocalAI", f"{root}/rerank", others=_WITH_MODEL)


def _documents(checks: Checks, root: str) -> None:
    url = f"{root}/rerank"
    for name, documents in (
        # Far over the model's 512 tokens; the server cuts it off without a word.
        ("a document over the model's length", [BERLIN, PARIS + " and so on" * 2_000, WEATHER]),
        ("a document of 100,000 characters", [BERLIN, PARIS + " " + "x" * 100_000, WEATHER]),
        ("quotes, braces, other scripts", [BERLIN, PARIS + ' "{}\\ é 東京 \U0001f600\t', WEATHER]),
    ):
        checks.orders(name, RANKING, "LocalAI", url, others=_WITH_MODEL, documents=documents)
    blank = ["", BERLIN, "  ", PARIS]
    checks.orders("blank documents come last", [3, 1, 0, 2], "LocalAI", url, others=_WITH_MODEL, documents=blank)
    _bytes(checks, url)
    most = [*DOCUMENTS, *["sunny"] * (_MAX_DOCUMENTS - len(DOCUMENTS))]
    checks.orders("as many documents as it takes", RANKING[:2], "LocalAI", url, others=_WITH_MODEL, documents=most)


def _bytes(checks: Checks, url: str) -> None:
    """ClickHouse's strings are bytes: NUL, invalid UTF-8, and a lone surrogate, which this server fails on."""
    array = f"[unhex('50617269730041FF'), unhex('EDA0BD'), '{DOCUMENTS[1]}']"
    constant = f"3, 'LocalAI', '{url}', '', '{{\"model\":\"{MODEL}\"}}'"
    hexed = f"arrayMap(r -> (r.1, hex(r.2), r.3), Rerank('{QUERY}', {array}, {constant}))"
    try:
        rows = checks.rows(f"SELECT arrayJoin({hexed}) AS r")
    except QueryError as error:
        checks.holds("documents that are no valid text", False, error)
        return
    texts = {row[0]: row[1] for row in rows}
    expected = {0: "50617269730041FF", 1: "EDA0BD", 2: DOCUMENTS[1].encode().hex().upper()}
    checks.holds("documents that are no valid text", texts == expected and rows[0][0] == 2, rows)


def _refusals(checks: Checks, root: str) -> None:
    url = f"{root}/rerank"
    checks.fails("an empty query", "BAD_ARGUMENT", "LocalAI", url, others=_WITH_MODEL, query="")
    checks.fails("a blank query", "BAD_ARGUMENT", "LocalAI", url, others=_WITH_MODEL, query=" \t")
    checks.fails("a path it does not have", "NOT_FOUND", "LocalAI", f"{root}/v3/rerank", others=_WITH_MODEL)
    long, says = "zq" * _MAX_CHARACTERS, f"at most {_MAX_CHARACTERS} characters"
    checks.fails("a document too long", "BAD_REQUEST", "LocalAI", url, others=_WITH_MODEL, documents=[long], says=says)
    many = [f"sunny days {number}" for number in range(_MAX_DOCUMENTS + 1)]
    checks.fails(
        "too many documents",
        "BAD_REQUEST",
        "LocalAI",
        url,
        others=_WITH_MODEL,
        documents=many,
        says=f"at most {_MAX_DOCUMENTS} items",
    )
    wrong_type = {**_WITH_MODEL, "model_args": {"return_documents": "perhaps"}}
    checks.fails("a field of the wrong type", "BAD_REQUEST", "LocalAI", url, others=wrong_type, says="boolean")
    echo = {**_WITH_MODEL, "model_args": {"return_documents": True}}
    checks.ranks("documents echoed as plain strings", "LocalAI", url, others=echo)
    raw = {**_WITH_MODEL, "model_args": {"raw_scores": True}, "normalize": "sigmoid"}
    checks.ranks("raw scores through a sigmoid", "LocalAI", url, others=raw)
    for provider in own_record("infinity"):
        last = [len(many) + index for index in RANKING[:2]]
        checks.orders("a list over the limit, split", last, provider, root, documents=[*many, *DOCUMENTS])
        checks.ranks("a request for each document", provider, root, others={"batch_size": 1})
        checks.fails("a document over the limit", "TOO_LARGE", provider, root, documents=[long], says="122880")


def _keys(checks: Checks, url: str) -> None:
    for provider, others in _records():
        checks.ranks(f"{provider} with the key", provider, url, KEY, others)
        # The same call as before but for the key: an answer kept from it must not serve.
        checks.fails(f"{provider} with a wrong key", "AUTH", provider, url, "sk-wrong-peer", others)
        checks.fails(f"{provider} without a key", "AUTH", provider, url, "", others)

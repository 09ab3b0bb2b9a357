"""llama.cpp's server, which speaks both Cohere's body and text-embeddings-inference's, and answers with logits."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from .checks import DOCUMENTS, PARIS, RANKING, WEATHER, Checks, own_record
from .environment import FOLDER, environment, tiny_model
from .sagemaker import ACCOUNTS, LONG_TERM, NAME, REGION
from .server import free_port, running
from .sigv4_front import Front

KEY = "sk-llama-peer"
_MODEL = {"model": "tiny-ce"}
_TEI = {"wire": "tei"}


def check(checks: Checks) -> None:
    """A keyed server and both bodies; then, without a key, in the place of a container of SageMaker's."""
    with _serving("llama.cpp", KEY) as root:
        _ranks(checks, root)
        _bodies_of_tei(checks, root)
        _refusals(checks, root)
    # The text-embeddings-inference container serves at /invocations what its server serves at /rerank.
    account = ACCOUNTS[LONG_TERM]
    with (
        _serving("llama.cpp-container", "") as root,
        Front(f"{root}/rerank", NAME, {LONG_TERM: account}, REGION) as front,
    ):
        others = {"access_key_id": LONG_TERM, "region_name": REGION, "endpoint_url": front.url, **_TEI}
        checks.ranks("SageMaker with its wire", "SageMaker", NAME, account.secret, others)


@contextlib.contextmanager
def _serving(name: str, key: str) -> Iterator[str]:
    programs = environment("llama_cpp")
    model = tiny_model(environment("infinity", torch=True))
    port = free_port()
    script = Path(__file__).with_name("llama_server.py")
    command = [programs / "python", script, model, FOLDER / "tiny.gguf", str(port), key]
    root = f"http://127.0.0.1:{port}"
    with running(name, command, f"{root}/health"):
        yield root


def _ranks(checks: Checks, root: str) -> None:
    for path in ("", "/v1", "/rerank", "/v1/rerank", "/reranking"):
        checks.ranks(f"LocalAI at {path or 'its host alone'}", "LocalAI", root + path, KEY, _MODEL)
    for provider in own_record("llama.cpp", "llamacpp", "llama_cpp"):
        checks.ranks(f"{provider} by host alone", provider, root, KEY)
    checks.ranks("logits through a sigmoid", "LocalAI", root, KEY, {**_MODEL, "normalize": "sigmoid"})
    equal = [WEATHER, PARIS, PARIS, WEATHER, PARIS]
    checks.orders("ties by index", [1, 2, 4, 0, 3], "LocalAI", root, KEY, _MODEL, documents=equal)


def _bodies_of_tei(checks: Checks, root: str) -> None:
    """A body with `texts` is text-embeddings-inference's, and so is the answer."""
    checks.ranks("HuggingFace with its wire", "HuggingFace", f"{root}/rerank", KEY, _TEI)
    for provider in own_record("custom"):
        checks.ranks(f"{provider} with its wire", provider, f"{root}/rerank", KEY, _TEI)
    for provider in own_record("tei", "text-embeddings-inference"):
        checks.ranks(f"{provider} by host alone", provider, root, KEY)
        many = [*[f"sunny day {number}" for number in range(97)], *DOCUMENTS]
        last = [97 + index for index in RANKING[:2]]
        checks.orders(f"100 documents, 32 at a time, by {provider}", last, provider, root, KEY, documents=many)


def _refusals(checks: Checks, root: str) -> None:
    for provider, others in (("LocalAI", _MODEL), ("HuggingFace", _TEI)):
        url = f"{root}/rerank"
        checks.fails(f"{provider} with a wrong key", "AUTH", provider, url, "sk-wrong-peer", others)
    checks.fails("no key", "AUTH", "LocalAI", root, "", _MODEL, says="Invalid API Key")
    checks.fails("a path it does not have", "NOT_FOUND", "LocalAI", f"{root}/v3/rerank", KEY, _MODEL)
    long = [PARIS + " and so on" * 2_000, WEATHER]
    checks.fails("a document over the model's length", "TOO_LARGE", "LocalAI", root, KEY, _MODEL, documents=long)

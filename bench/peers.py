"""What people use today, on the same work against the same provider; runs in the bench environment.

`python -m bench.peers NAME URL ROWS DOCUMENTS SIZE IN_FLIGHT` prints one JSON object. Clients are made and asked once
before the clock starts, and no pool of theirs is smaller than the work needs: it is their best that is measured.
"""

import asyncio
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .work import KEY, MODEL, Work

_PATIENCE_S = 300
Ask = Callable[[str, list[str]], list[tuple[int, float]]]
AskLater = Callable[[str, list[str]], Awaitable[list[tuple[int, float]]]]


@dataclass(frozen=True)
class Peer:
    """A way to rerank many rows; `make(url, in_flight, top_n)` gives a function for one row."""

    title: str
    package: str
    make: Callable[[str, int, int], Any]
    kind: str
    """"threads", "async" or "serial"."""


def _cohere_sdk(url: str, in_flight: int, top_n: int) -> Ask:
    import cohere
    import httpx

    http = httpx.Client(limits=httpx.Limits(**_default_limits(in_flight)), timeout=_PATIENCE_S)
    client = cohere.ClientV2(KEY, base_url=url, httpx_client=http)

    def ask(query: str, documents: list[str]) -> list[tuple[int, float]]:
        answer = client.rerank(model=MODEL, query=query, documents=documents, top_n=top_n)
        return [(item.index, item.relevance_score) for item in answer.results]

    return ask


def _cohere_async(url: str, in_flight: int, top_n: int) -> AskLater:
    import cohere
    import httpx

    http = httpx.AsyncClient(limits=httpx.Limits(**_default_limits(in_flight)), timeout=_PATIENCE_S)
    client = cohere.AsyncClientV2(KEY, base_url=url, httpx_client=http)

    async def ask(query: str, documents: list[str]) -> list[tuple[int, float]]:
        answer = await client.rerank(model=MODEL, query=query, documents=documents, top_n=top_n)
        return [(item.index, item.relevance_score) for item in answer.results]

    return ask


def _litellm(url: str, in_flight: int, top_n: int) -> AskLater:
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True

    async def ask(query: str, documents: list[str]) -> list[tuple[int, float]]:
        answer = await litellm.arerank(
            model=f"cohere/{MODEL}", query=query, documents=documents, top_n=top_n, api_key=KEY, api_base=url
        )
        return [(item["index"], item["relevance_score"]) for item in answer.results]

    return ask


def _rerankers(url: str, in_flight: int, top_n: int) -> Ask:
    from rerankers.models.api_rankers import APIRanker

    ranker = APIRanker(MODEL, KEY, "cohere", verbose=0, url=f"{url}/v2/rerank")

    def ask(query: str, documents: list[str]) -> list[tuple[int, float]]:
        return [(item.doc_id, item.score) for item in ranker.rank(query, documents).results]

    return ask


def _requests(url: str, in_flight: int, top_n: int) -> Ask:
    import requests

    session = requests.Session()
    session.trust_env = False
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=in_flight))
    session.headers["Authorization"] = f"Bearer {KEY}"

    def ask(query: str, documents: list[str]) -> list[tuple[int, float]]:
        body = {"model": MODEL, "query": query, "documents": documents, "top_n": top_n}
        answer = session.post(f"{url}/v2/rerank", json=body, timeout=_PATIENCE_S)
        return [(item["index"], item["relevance_score"]) for item in answer.json()["results"]]

    return ask


def _httpx(url: str, in_flight: int, top_n: int, kept: int = 20) -> AskLater:
    import httpx

    limits = httpx.Limits(**_default_limits(in_flight) | {"max_keepalive_connections": kept})
    headers = {"Authorization": f"Bearer {KEY}"}
    client = httpx.AsyncClient(limits=limits, timeout=_PATIENCE_S, trust_env=False, headers=headers)

    async def ask(query: str, documents: list[str]) -> list[tuple[int, float]]:
        body = {"model": MODEL, "query": query, "documents": documents, "top_n": top_n}
        answer = await client.post(f"{url}/v2/rerank", json=body)
        return [(item["index"], item["relevance_score"]) for item in answer.json()["results"]]

    return ask


def _httpx_kept(url: str, in_flight: int, top_n: int) -> AskLater:
    return _httpx(url, in_flight, top_n, kept=in_flight)


def _default_limits(in_flight: int) -> dict[str, int]:
    """httpx's own limits, raised where they would hold the work back.

    It keeps 20 idle connections and opens the others anew for each call. That is cheap on loopback without TLS, and
    cheaper than the search of its own pool when it keeps them all, so it is what a peer is given here.
    """
    return {"max_connections": max(100, in_flight), "max_keepalive_connections": 20}


PEERS = {
    "cohere-threads": Peer("Cohere SDK in a thread pool", "cohere", _cohere_sdk, "threads"),
    "cohere-async": Peer("Cohere SDK, async client", "cohere", _cohere_async, "async"),
    "litellm": Peer("LiteLLM arerank", "litellm", _litellm, "async"),
    "rerankers": Peer("rerankers in a thread pool", "rerankers", _rerankers, "threads"),
    "requests": Peer("requests in a thread pool", "requests", _requests, "threads"),
    "httpx": Peer("httpx.AsyncClient, as it comes", "httpx", _httpx, "async"),
    "httpx-kept": Peer("httpx.AsyncClient, all connections kept", "httpx", _httpx_kept, "async"),
    "serial": Peer("one call after the other", "requests", _requests, "serial"),
}


def _loopback_only(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: a benchmark that reaches out is no benchmark."""
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in ("127.0.0.1", "::1"):
        raise PermissionError(f"a peer dials {arguments[1][0]}")
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", b"127.0.0.1", "localhost", None):
        raise PermissionError(f"a peer looks up {arguments[0]}")


def _in_threads(ask: Ask, rows: Sequence[tuple[str, list[str]]], threads: int) -> list[list[tuple[int, float]]]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda row: ask(*row), rows))


async def _in_tasks(
    ask: AskLater, rows: Sequence[tuple[str, list[str]]], in_flight: int
) -> tuple[list[list[tuple[int, float]]], float]:
    await ask(*rows[0])
    room = asyncio.Semaphore(in_flight)

    async def one(row: tuple[str, list[str]]) -> list[tuple[int, float]]:
        async with room:
            return await ask(*row)

    began = time.perf_counter()
    answers = await asyncio.gather(*map(one, rows))
    return answers, time.perf_counter() - began


def main(arguments: Sequence[str]) -> None:
    """Measure one peer and print it."""
    sys.addaudithook(_loopback_only)
    name, url, *sizes = arguments
    rows, documents, size, in_flight = map(int, sizes)
    work, peer = Work(rows, documents, size), PEERS[name]
    inputs = [(work.query("peer", row), work.texts(row, work.corpus)) for row in range(rows)]
    ask = peer.make(url, in_flight, work.top_k)
    cpu_before = time.process_time()
    if peer.kind == "async":
        answers, wall_s = asyncio.run(_in_tasks(ask, inputs, in_flight))
    else:
        ask(*inputs[0])
        began = time.perf_counter()
        answers = _in_threads(ask, inputs, in_flight) if peer.kind == "threads" else [ask(*row) for row in inputs]
        wall_s = time.perf_counter() - began
    cpu_s = time.process_time() - cpu_before
    assert [len(answer) for answer in answers] == [work.items] * rows
    version = importlib.metadata.version(peer.package)
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "version": version}), flush=True)
    os._exit(0)  # open clients have nothing more to say


if __name__ == "__main__":
    main(sys.argv[1:])

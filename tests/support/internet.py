"""Every host of the world on loopback: a proxy leads to one server with all their names, and it answers as they do."""

from __future__ import annotations

import asyncio
import math
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any

import chat_model
import decision_model
from provider import Provider, Reply, Request, overlap
from proxy import Proxy

Scored = list[tuple[int, float]]


def _texts(documents: Sequence[Any], *keys: str) -> list[str]:
    """Documents as they are, or a member of each."""
    return [document[keys[0]] if keys else document for document in documents]


def _items(index: str, score: str) -> Callable[[Scored], list[dict[str, Any]]]:
    return lambda scored: [{index: at, score: value} for at, value in scored]


_COMMON, _PLAIN = _items("index", "relevance_score"), _items("index", "score")


def answer(request: Request) -> Reply:
    """A right answer in the shape that the request's body asks for; scores are the share of the query's words."""
    if request.headers["host"].startswith("down."):
        return Reply(503, json={"message": "upstream is down"})
    body = request.json
    query, documents, shaped = _read(body)
    scored = [(at, overlap(query, document)) for at, document in enumerate(documents)]
    return Reply(json=shaped(scored))


def _read(body: Any) -> tuple[str, list[str], Callable[[Scored], Any]]:
    """(query, documents, what to answer) of any provider's body."""
    match body:
        case {"messages": _, "logprobs": True}:
            return _yes_or_no(body)
        case {"messages": _}:
            return chat_model.query(body), chat_model.passages(body), lambda scored: _ordered(body, scored)
        case {"questions": _}:
            return _decision(body)
        case {"texts": texts}:
            return body["query"], texts, _PLAIN
        case {"inputs": [*pairs]}:
            labelled = lambda scored: [[{"label": "LABEL_0", "score": value}] for _, value in scored]  # noqa: E731
            return pairs[0]["text"], _texts(pairs, "text_pair"), labelled
        case {"inputs": {"query": query, "texts": texts}}:
            return query, texts, _PLAIN
        case {"passages": passages}:
            rank = _items("index", "logit")
            return body["query"]["text"], _texts(passages, "text"), lambda scored: {"rankings": rank(scored)}
        case {"records": records}:
            records_of = lambda scored: [{"id": str(at), "score": value} for at, value in scored]  # noqa: E731
            return body["query"], _texts(records, "content"), lambda scored: {"records": records_of(scored)}
        case {"sources": sources, "queries": [first]}:
            documents = [source["inlineDocumentSource"]["textDocument"]["text"] for source in sources]
            rank = _items("index", "relevanceScore")
            return first["textQuery"]["text"], documents, lambda scored: {"results": rank(scored)}
        case {"queries": [first, *_], "documents": documents}:
            return first, documents, lambda scored: {"scores": [value for _, value in scored]}
        case {"text_1": query, "text_2": documents}:
            return query, documents, lambda scored: {"data": _PLAIN(scored)}
        case {"input": {"query": query, "documents": documents}}:
            return query, documents, lambda scored: {"output": {"results": _COMMON(scored)}}
        case {"input": documents, "top_k": _}:
            return body["query"], documents, lambda scored: {"data": _PLAIN(scored)}
        case {"input": documents}:
            return body["query"], documents, lambda scored: {"rerank": _COMMON(scored)}
        case {"documents": [{"text": _}, *_] as documents}:
            return body["query"], _texts(documents, "text"), lambda scored: {"data": _PLAIN(scored)}
        case {"documents": documents, "top_k": _}:
            return body["query"], documents, lambda scored: {"data": _COMMON(scored)}
        case _:
            return body["query"], body["documents"], lambda scored: {"results": _COMMON(scored)}


def _decision(body: Any) -> tuple[str, list[str], Callable[[Scored], Any]]:
    """(query, documents, what to answer) of a decision model's body."""
    documents = decision_model.documents(body)
    names = list(documents)

    def shaped(scored: Scored) -> Any:
        return decision_model.answer(body, {names[at]: value for at, value in scored}, tokens=100)

    return body.get("state", body.get("input")), list(documents.values()), shaped


def _ordered(body: Any, scored: Scored) -> Any:
    """What a chat model writes: the numbers of the passages."""
    text = chat_model.ranking(at + 1 for at, _ in sorted(scored, key=lambda pair: -pair[1]))
    return (chat_model.message if "max_tokens" in body else chat_model.completion)(text).json


def _yes_or_no(body: Any) -> tuple[str, list[str], Callable[[Scored], Any]]:
    """The same where a chat model answers with a word."""
    query, _, rest = chat_model.prompt(body).removeprefix("Query:\n").partition("\n\n")

    def shaped(scored: Scored) -> Any:
        value = min(0.99, max(0.01, scored[0][1]))
        return chat_model.said({"Yes": math.log(value), "No": math.log(1 - value)}).json

    return query, [rest.rpartition("Document:\n")[2]], shaped


class Internet:
    """`proxy` leads to the hosts that the TLS context has names for; `plain` answers what goes without TLS."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.plain, self._secure = Provider(answer), Provider(answer, tls)
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self._proxy.port}"

    @property
    def requests(self) -> list[Request]:
        """What arrived since `reset`, over TLS and without."""
        return [*self._secure.requests, *self.plain.requests]

    def reset(self) -> None:
        for provider in (self.plain, self._secure):
            provider.reset(answer)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        for provider in (self.plain, self._secure):
            provider.close()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._proxy = Proxy(self._secure.port)
        self._loop.run_until_complete(self._proxy.__aenter__())
        started.set()
        self._loop.run_forever()

"""One file per body shape; its pure functions: `body(call)`, `scores(payload, call)`, `billed(payload, headers)`."""

from collections.abc import Mapping
from typing import Protocol

import orjson

from ...types import Billed, Call, Scores, sendable
from . import (
    bedrock,
    cohere,
    dashscope,
    deepinfra,
    elasticsearch,
    google,
    mixedbread,
    nvidia,
    pairs,
    pinecone,
    tei,
    text_ranking,
    vllm_score,
    voyage,
)
from .scored_items import MalformedError

__all__ = ["WIRES", "MalformedError", "Wire", "encoded"]


class Wire(Protocol):
    """What a module in this folder offers: a call -> the JSON body; a parsed answer and its call -> scores;
    that answer and its headers, by lower-case name -> what it counts for, which no malformed number may prevent."""

    OWNS: frozenset[str]
    """Members of the body that only the wire writes: model_args may not name them."""

    def body(self, call: Call) -> object: ...

    def scores(self, payload: object, call: Call) -> Scores: ...

    def billed(self, payload: object, headers: Mapping[str, str]) -> Billed: ...


WIRES: dict[str, Wire] = {
    "cohere": cohere,
    "voyage": voyage,
    "mixedbread": mixedbread,
    "pinecone": pinecone,
    "tei": tei,
    "text_ranking": text_ranking,
    "pairs": pairs,
    "nvidia": nvidia,
    "google": google,
    "bedrock": bedrock,
    "deepinfra": deepinfra,
    "vllm_score": vllm_score,
    "dashscope": dashscope,
    "elasticsearch": elasticsearch,
}


def encoded(wire: Wire, call: Call) -> bytes:
    """The body of a call's request, as JSON; text that is not valid Unicode has U+FFFD for each invalid byte."""
    body = wire.body(call)
    try:
        return orjson.dumps(body)
    except TypeError:
        return orjson.dumps(_valid(body))


def _valid(value: object) -> object:
    """The same JSON value with every text made valid Unicode: lone surrogates make some servers fail."""
    if isinstance(value, str):
        return sendable(value)
    if isinstance(value, Mapping):
        return {sendable(str(key)): _valid(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_valid(member) for member in value]
    return value

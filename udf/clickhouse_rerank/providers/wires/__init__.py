"""One module per body shape ("wire"), each of pure functions: `body`, `scores` and `billed_units`, as `Wire` says.

Owns what a request's body looks like and how an answer is read. Refuses to know which provider uses a wire, a URL or a
key. The plan builds bodies, the client reads answers; each module names the source of its facts.
"""

from collections.abc import Mapping
from typing import Protocol

import orjson

from ...types import BilledUnits, Call, Scores, sendable
from . import (
    bedrock,
    chat_question,
    chat_ranking,
    cohere,
    dashscope,
    decisions,
    deepinfra,
    elasticsearch,
    gemini_decisions,
    google,
    messages_ranking,
    mixedbread,
    nvidia,
    pairs,
    pinecone,
    systemone,
    tei,
    text_ranking,
    vllm_score,
    voyage,
)
from .result_list import MalformedError

__all__ = ["QUESTION_WIRES", "RANKING_WIRES", "WIRES", "MalformedError", "RankingWire", "Wire", "encoded"]


class Wire(Protocol):
    """What each module of this folder offers."""

    RESERVED_MEMBERS: frozenset[str]
    """Members of the body that only the wire writes: model_args may not name them."""

    def body(self, call: Call) -> object:
        """The JSON body of a request for a call; errors: CallerError for fields that do not fit into it."""
        ...

    def scores(self, payload: object, call: Call) -> Scores:
        """The scores in a parsed answer to a call; errors: MalformedError."""
        ...

    def billed_units(self, payload: object, headers: Mapping[str, str]) -> BilledUnits:
        """What a parsed answer and its headers, by lower-case name, say that it is billed for.

        A number that is missing or malformed counts as 0 and is no error.
        """
        ...


class RankingWire(Wire, Protocol):
    """What a wire offers beside that, whose model writes the order of a few documents."""

    def is_repaired(self, payload: object, call: Call) -> bool:
        """Whether an answer that `scores` reads is not in the form that was asked for."""
        ...


RANKING_WIRES: dict[str, RankingWire] = {"chat_ranking": chat_ranking, "messages_ranking": messages_ranking}
"""Wires of models that write an order. Scores in it are for the documents that the model names, best first; all others
come behind them, and no scores at all are a refusal. A long list is ranked window by window."""

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
    "systemone": systemone,
    "decisions": decisions,
    "gemini_decisions": gemini_decisions,
    "chat_question": chat_question,
    **RANKING_WIRES,
}

QUESTION_WIRES = frozenset(("systemone", "decisions", "gemini_decisions", "chat_question"))
"""Wires of decision models, and of chat models that answer yes or no: they ask a question of each document, and the
model may refuse to answer it."""


def encoded(wire: Wire, call: Call) -> bytes:
    """The body of a call's request as JSON; invalid bytes and lone surrogates in texts become U+FFFD."""
    body = wire.body(call)
    try:
        return orjson.dumps(body)
    except TypeError:
        return orjson.dumps(_valid(body))


def _valid(value: object) -> object:
    """The JSON value with every text made valid Unicode: some servers fail at lone surrogates."""
    if isinstance(value, str):
        return sendable(value)
    if isinstance(value, Mapping):
        return {sendable(str(key)): _valid(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_valid(member) for member in value]
    return value

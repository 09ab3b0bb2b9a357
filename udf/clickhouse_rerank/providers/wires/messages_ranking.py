"""The body of Anthropic's messages, where the model ranks numbered passages.

Source: Anthropic's API reference, `/v1/messages`, its pages on versions and on structured outputs, and the Python
client 2.14. It sends the version 2026-10-21 and the key as a bearer token; that version refuses `temperature`, `top_p`
and `top_k`. `output_config.format` of the type `json_schema` replaced `output_format` and its beta header.
`max_tokens` is required, and counts thoughts. `stop_reason` says `refusal` for a refusal, `max_tokens` or
`model_context_window_exceeded` for an answer that is cut off. The input that a cache read or wrote is counted beside
`input_tokens`. The API gives no log probabilities.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import billing, rankings
from .chat_ranking import without_nulls
from .result_list import MalformedError

RESERVED_MEMBERS = frozenset(("model", "messages", "system", "stream"))
_CUT_OFF = ("max_tokens", "model_context_window_exceeded")
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def body(call: Call) -> object:
    """`{model, max_tokens, system, messages: [user], output_config}`; others.model_args adds to the last."""
    fields = dict(call.fields)
    config = fields.pop("output_config", {})
    wanted = {"format": {"type": "json_schema", "schema": rankings.SCHEMA}}
    return without_nulls(
        {
            "model": call.model,
            "system": rankings.SYSTEM,
            "messages": [{"role": "user", "content": rankings.prompt(call)}],
            "output_config": {**wanted, **config} if isinstance(config, dict) else config,
            **fields,
        }
    )


def scores(payload: object, call: Call) -> Scores:
    """A score for each passage that the answer names, best first; none if the model refuses."""
    text = _written(payload)
    return [] if text is None else rankings.scores(rankings.order(text, len(call.documents)))


def is_repaired(payload: object, call: Call) -> bool:
    """Whether the answer that `scores` reads is not the object that was asked for."""
    text = _written(payload)
    return text is not None and rankings.order(text, len(call.documents)).is_repaired


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens of prompt and answer, thoughts included."""
    return BilledUnits(sum(billing.first_positive(payload, ("usage", name)) for name in (*_INPUT, "output_tokens")))


def _written(payload: object) -> str | None:
    """What the model wrote; None for a refusal. Errors: MalformedError for nothing."""
    blocks = payload.get("content") if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(blocks, list):
        raise MalformedError("has no list of content", "Check that base_url is an API of messages.")
    stopped = payload.get("stop_reason")
    if stopped == "refusal":
        return None
    texts = [block.get("text") for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
    text = "".join(one for one in texts if isinstance(one, str))
    if text.strip():
        return text
    if stopped in _CUT_OFF:
        raise MalformedError(
            "ends at its limit of tokens before the ranking",
            'Raise the limit, such as "model_args":{"max_tokens":20000}, or let the model think less.',
        )
    raise MalformedError("has no text", "Check that base_url is an API of messages.")

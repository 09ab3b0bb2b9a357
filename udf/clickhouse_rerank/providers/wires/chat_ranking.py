"""The body of chat completions, where the model ranks numbered passages.

Source: OpenAI's API reference, `/v1/chat/completions`, and openai-python 3.57, `chat.completions`. Servers that copy
it (vLLM, SGLang, llama.cpp, Ollama, LiteLLM, OpenRouter, Mistral, Groq) take `response_format` of the type
`json_schema`; some only for some models, and some without enforcing it, so that the answer is read as text anyway. No
limit of tokens is sent: models that think count their thoughts in it, and its name differs between servers.
"""

from collections.abc import Mapping

from ...types import BilledUnits, Call, Scores
from . import billing, rankings
from .result_list import MalformedError

RESERVED_MEMBERS = frozenset(("model", "messages", "stream", "n"))
_NO_API = "Check that base_url is an API of chat completions."


def body(call: Call) -> object:
    """`{model, messages: [system, user], response_format}`; others.model_args adds members, replaces or, by null,
    leaves out `response_format`."""
    return without_nulls(
        {
            "model": call.model,
            "messages": [
                {"role": "system", "content": rankings.SYSTEM},
                {"role": "user", "content": rankings.prompt(call)},
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "ranking", "strict": True, "schema": rankings.SCHEMA},
            },
            **call.fields,
        }
    )


def scores(payload: object, call: Call) -> Scores:
    """A score for each passage that the answer names, best first; none if the model refuses."""
    text = written(payload)
    return [] if text is None else rankings.scores(rankings.order(text, len(call.documents)))


def is_repaired(payload: object, call: Call) -> bool:
    """Whether the answer that `scores` reads is not the object that was asked for."""
    text = written(payload)
    return text is not None and rankings.order(text, len(call.documents)).is_repaired


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens of prompt and answer, thoughts included."""
    total = billing.first_positive(payload, ("usage", "total_tokens"))
    parts = [billing.first_positive(payload, ("usage", name)) for name in ("prompt_tokens", "completion_tokens")]
    return BilledUnits(total or sum(parts))


def choice(payload: object) -> Mapping[str, object]:
    """The one choice of a completion. Errors: MalformedError."""
    choices = payload.get("choices") if isinstance(payload, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or not isinstance(first.get("message"), dict):
        raise MalformedError("has no choice with a message", _NO_API)
    return first


def is_refused(one: Mapping[str, object]) -> bool:
    """Whether the model, or a filter in front of it, refuses to answer."""
    message = one["message"]
    return one.get("finish_reason") == "content_filter" or (isinstance(message, dict) and bool(message.get("refusal")))


def written(payload: object) -> str | None:
    """What the model wrote; None for a refusal. Errors: MalformedError for nothing."""
    one = choice(payload)
    if is_refused(one):
        return None
    message = one["message"]
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):  # some servers answer in parts, as they take them
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if not isinstance(content, str) or not content.strip():
        if one.get("finish_reason") == "length":
            raise MalformedError(
                "ends at its limit of tokens before the ranking",
                'Raise the limit, such as "model_args":{"max_completion_tokens":20000}, or let the model think less.',
            )
        raise MalformedError("has no text", _NO_API)
    return content


def without_nulls(members: Mapping[str, object]) -> Mapping[str, object]:
    """The members whose value is not null."""
    return {name: value for name, value in members.items() if value is not None}

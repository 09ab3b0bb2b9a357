"""Chat models: servers that are strict about requests, a reader of the prompt, and what a model writes.

What is allowed in a request is what openai-python 3.57 and the client of Anthropic 2.14 send; `tests/peers` compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from provider import Reply, Request

CHAT = {"model", "messages", "response_format", "logprobs", "top_logprobs", "max_completion_tokens", "temperature"}
MESSAGES = {"model", "max_tokens", "messages", "system", "output_config", "thinking"}
KEYWORDS = {"type", "properties", "required", "additionalProperties", "items"}
"""What a strict schema may have at both APIs."""
USAGE = {
    "chat": {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "completion_tokens_details": {"reasoning_tokens": 15},
    },
    "messages": {
        "input_tokens": 90,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 3,
        "output_tokens": 20,
    },
}
Model = Callable[[str, list[str]], str]
"""Query and passages of a request -> what the model writes."""


def is_chat(request: Request) -> bool:
    return request.path.endswith("/chat/completions")


def prompt(body: Any) -> str:
    """The message of the user."""
    return next(message["content"] for message in body["messages"] if message["role"] == "user")


def passages(body: Any) -> list[str]:
    """The passages of a prompt as a model reads it: from each opening tag to the next closing one of its name."""
    text = prompt(body)
    found = [(int(number), passage) for number, passage in _tagged(text, "passage", r' number="([0-9]+)"')]
    assert [number for number, _ in found] == list(range(1, len(found) + 1)), found
    return [passage for _, passage in found]


def query(body: Any) -> str:
    """The query, which stands before and behind the passages."""
    first, last = (text for (text,) in _tagged(prompt(body), "query", ""))
    assert first == last
    return first


def _tagged(text: str, name: str, attribute: str) -> list[tuple[str, ...]]:
    key = re.match("<query([0-9]+)>", text)[1]  # type: ignore[index]
    found = re.findall(rf"<{name}{key}{attribute}>\n(.*?)\n</{name}{key}>", text, re.DOTALL)
    return [one if isinstance(one, tuple) else (one,) for one in found]


def check(request: Request) -> None:
    """Fail for what the API would refuse."""
    body = request.json
    assert isinstance(body["model"], str) and body["model"]
    for message in body["messages"]:
        assert set(message) == {"role", "content"} and isinstance(message["content"], str)
    roles = [message["role"] for message in body["messages"]]
    if is_chat(request):
        assert set(body) <= CHAT and roles == ["system", "user"]
        wanted = body.get("response_format", {"type": "text"})
        if wanted["type"] == "json_schema":
            assert (
                set(wanted["json_schema"]) == {"name", "strict", "schema"} and wanted["json_schema"]["strict"] is True
            )
            assert re.fullmatch(r"[\w-]{1,64}", wanted["json_schema"]["name"])
            _check_schema(wanted["json_schema"]["schema"])
        assert "top_logprobs" not in body or (body["logprobs"] is True and 0 <= body["top_logprobs"] <= 20)
    else:
        assert request.path.endswith("/messages") and set(body) <= MESSAGES and roles == ["user"]
        assert type(body["max_tokens"]) is int and isinstance(body["system"], str)
        assert request.headers["anthropic-version"] == "2026-10-21" and "authorization" in request.headers
        config = body.get("output_config", {})
        assert set(config) <= {"format", "effort"}
        if "format" in config:
            assert set(config["format"]) == {"type", "schema"} and config["format"]["type"] == "json_schema"
            _check_schema(config["format"]["schema"])


def _check_schema(schema: Mapping[str, Any]) -> None:
    assert set(schema) <= KEYWORDS
    if schema["type"] == "object":
        assert schema["additionalProperties"] is False and schema["required"] == list(schema["properties"])
        for member in schema["properties"].values():
            _check_schema(member)
    elif schema["type"] == "array":
        _check_schema(schema["items"])


def completion(text: str | None, *, finish: str = "stop", usage: Any = None, **message: Any) -> Reply:
    """A chat completion; `message` has further members of its message."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None, **message},
        "logprobs": None,
        "finish_reason": finish,
    }
    members = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return Reply(json={**members, "usage": USAGE["chat"] if usage is None else usage})


def message(text: str | None, *, stop: str = "end_turn", blocks: Iterable[Any] = ()) -> Reply:
    """A message; `blocks` stand before its text."""
    content = [*blocks, *([] if text is None else [{"type": "text", "text": text}])]
    members = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content}
    return Reply(json={**members, "stop_reason": stop, "stop_sequence": None, "usage": USAGE["messages"]})


def written(request: Request, text: str | None) -> Reply:
    """What a model wrote, in the form of the API that was asked."""
    return completion(text) if is_chat(request) else message(text)


def served(model: Model) -> Callable[[Request], Reply]:
    """A strict server with a model behind it."""

    def script(request: Request) -> Reply:
        check(request)
        return written(request, model(query(request.json), passages(request.json)))

    return script


def ranking(numbers: Iterable[int]) -> str:
    return json.dumps({"ranking": list(numbers)})


def by_number(_: str, texts: list[str]) -> str:
    """Orders passages by the last number in them, the highest first."""
    values = [int(re.findall("[0-9]+", text)[-1]) for text in texts]
    return ranking(sorted(range(1, len(texts) + 1), key=lambda number: -values[number - 1]))


def logprobs(tokens: Mapping[str, float]) -> dict[str, Any]:
    """The member `logprobs` of a choice whose first token is the first of these."""
    top = [{"token": token, "logprob": value, "bytes": list(token.encode())} for token, value in tokens.items()]
    return {"content": [{**top[0], "top_logprobs": top}], "refusal": None}


def said(tokens: Mapping[str, float] | None) -> Reply:
    """A completion of one token, with the log probabilities of these; None for no logprobs."""
    reply = completion("Yes", finish="length")
    if tokens is not None:
        reply.json["choices"][0]["logprobs"] = logprobs(tokens)
    return reply

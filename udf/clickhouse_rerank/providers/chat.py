"""Chat models: APIs whose models write text, and rank with a prompt. Models have no default: prices differ a lot.

Sources: the vendors' API references; see each wire.
"""

from dataclasses import replace

from .error_rules import NO_CREDIT, TOO_LARGE, ErrorRule
from .record import Option, Provider, RequestLimits
from .shared_options import NETWORK_MODEL

_TOO_LONG = TOO_LARGE._replace(remedy="Lower others.window or others.max_tokens_per_doc.")
_ERRORS = (
    # OpenAI and copies; llama.cpp; Anthropic
    ErrorRule(_TOO_LONG, name=r"^(?:context_length_exceeded|exceed_context_size_error|request_too_large)$"),
    # vLLM; Anthropic
    ErrorRule(_TOO_LONG, statuses=(400,), words=r"maximum context length|prompt is too long"),
    ErrorRule(NO_CREDIT, statuses=(400, 429), words=r"credit balance is too low|(?:usage|spend) limit"),
)
_COMMON = {
    **{name: option for name, option in NETWORK_MODEL.items() if name not in ("listwise", "batch_size")},
    "max_tokens_per_doc": Option("integer", low=1),
    "bytes_per_token": Option("number", low=0.5, high=16),
}
_WINDOWS = {
    "window": Option("integer", low=2),
    "step": Option("integer", low=1),
    "passes": Option("integer", low=1, high=10),
}
_METHODS = ("listwise", "pointwise")
_QUESTION = Provider(
    name="Chat",
    wire="chat_question",
    path="/v1/chat/completions",
    complete=r".*/chat/completions",
    key="optional",
    needs_model=True,
    listwise=r"(?!)",
    scores="a probability",
    limits=RequestLimits(documents=1),
    takes_top_n=False,
    max_tokens_per_doc=500,
    error_rules=_ERRORS,
    options={
        **_COMMON,
        "method": Option("text", choices=_METHODS),
        "question": Option("text", "question"),
        "criteria": Option("object", "criteria"),
    },
)
_RANKING = replace(
    _QUESTION,
    wire="chat_ranking",
    listwise=".*",
    scores="1 - rank / n",
    limits=RequestLimits(),
    options={**_COMMON, "method": Option("text", choices=_METHODS), **_WINDOWS},
)

CHAT = (
    replace(_RANKING, by_method={"pointwise": _QUESTION}),
    replace(
        _RANKING,
        name="Anthropic",
        wire="messages_ranking",
        url="https://api.anthropic.com/v1/messages",
        path="/v1/messages",
        complete=r".*/messages",
        key="required",
        key_prefix="sk-ant-",
        headers={"anthropic-version": "2026-10-21"},
        env="ANTHROPIC_API_KEY",
        fixed={"max_tokens": 8192},
        options={
            **_RANKING.options,
            "method": Option(
                "text",
                choices=("listwise",),
                refused=(
                    (
                        "pointwise",
                        "This API gives no logprobs. Leave it out, or take a server that has them with Chat.",
                    ),
                ),
            ),
        },
    ),
)

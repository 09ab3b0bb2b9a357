"""The body of chat completions, where the model answers yes or no about one document.

The score is the probability of yes, as the log probabilities of the first token say it: that of yes, by that of yes and
no together. Source: OpenAI's API reference, `logprobs` and `top_logprobs` (at most 20) of `/v1/chat/completions`. vLLM,
SGLang, llama.cpp and Ollama have them too; models that think, and many hosted APIs, have not.
"""

import math
from collections.abc import Iterator, Mapping

from ...types import BilledUnits, Call, Scores
from . import chat_ranking, questions
from .result_list import MalformedError

RESERVED_MEMBERS = chat_ranking.RESERVED_MEMBERS | {"logprobs"}
SYSTEM = "You answer a question about a query and a document with one word, yes or no."
_MARKS = " \t\n\"'`*.,:(\u2581\u0120\u010a"
"""What stands around a word in a token: spaces and marks, some by the characters that tokenizers write for them."""
_INSTEAD = "Take a server and a model that give logprobs, or leave out others.method."


def body(call: Call) -> object:
    """`{model, messages: [system, user], logprobs, top_logprobs, max_completion_tokens}` for the one document.

    The document comes last in the message, so that nothing stands behind it.
    """
    question = questions.asked(call)
    content = f"Query:\n{call.query}\n\n{questions.text(question, call.documents[0])}"
    return chat_ranking.without_nulls(
        {
            "model": call.model,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}],
            "logprobs": True,
            "top_logprobs": 20,
            "max_completion_tokens": 1,
            **question.fields,
        }
    )


def scores(payload: object, call: Call) -> Scores:
    """The probability of yes; none if the model refuses. Errors: MalformedError without logprobs of yes or no."""
    one = chat_ranking.choice(payload)
    if chat_ranking.is_refused(one):
        return []
    logprobs = one.get("logprobs")
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = tokens[0] if isinstance(tokens, list) and tokens else None
    if not isinstance(first, dict):
        raise MalformedError("has no logprobs", _INSTEAD)
    weights = {"yes": 0.0, "no": 0.0}
    for token, probability in _tokens(first).items():
        word = token.strip(_MARKS).lower()
        if word in weights:
            weights[word] += probability
    both = sum(weights.values())
    if not both:
        raise MalformedError(
            "begins with neither yes nor no",
            "Take a model that follows instructions and does not think first, or leave out others.method.",
        )
    return [(0, weights["yes"] / both)]


def billed_units(payload: object, headers: Mapping[str, str]) -> BilledUnits:
    """The tokens of prompt and answer."""
    return chat_ranking.billed_units(payload, headers)


def _tokens(first: Mapping[str, object]) -> Mapping[str, float]:
    """The most likely tokens at the first place, and the probability of each."""
    top = first.get("top_logprobs")
    return dict(_read([first, *(top if isinstance(top, list) else [])]))


def _read(entries: list[object]) -> Iterator[tuple[str, float]]:
    for entry in entries:
        if isinstance(entry, dict):
            token, logprob = entry.get("token"), entry.get("logprob")
            if isinstance(token, str) and isinstance(logprob, int | float) and logprob <= 0.01:
                yield token, math.exp(logprob)

"""Serves jev-compatible-server, which is strict about its contract, with a scorer that needs no weights.

python systemone_server.py PORT [unsupported]      (needs jev-compatible-server)
"""

import sys

import uvicorn
from jev_compatible_server.app import create_app
from jev_compatible_server.protocol import DecisionResponse, NoulAnswer, UnsupportedAnswer, Usage
from jev_compatible_server.runtime import DecisionRuntime, RuntimeErrorBase


class Words(DecisionRuntime):
    """The share of the state's words that a document has; it can also answer no question at all."""

    model_name = "words"

    def __init__(self, *, is_able: bool) -> None:
        self._is_able = is_able

    def decide_batch(self, requests):
        return [self._decided(request) for request in requests]

    def _decided(self, request):
        words = request.state.lower().split()
        answers = {}
        for name, question in request.questions.items():
            asked = question.instructions  # an object, or text that a gateway made of it
            document = (asked["document"] if isinstance(asked, dict) else asked.rpartition("Document:\n")[2]).lower()
            if "too long" in document:
                raise RuntimeErrorBase("a question exceeds the model's context")
            share = sum(word in document for word in words) / len(words)
            answers[name] = NoulAnswer(type="noul", noul=round(share, 2))
            if not self._is_able:
                answers[name] = UnsupportedAnswer(type="unsupported", question_type="noul", supported_types=["choice"])
        return DecisionResponse(model=self.model_name, answers=answers, usage=Usage(input_tokens=10))


if __name__ == "__main__":
    uvicorn.run(
        create_app(Words(is_able=len(sys.argv) < 3)), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning"
    )

"""Where the tokens of a model in the worker begin in a text. Encoding takes time: use a thread for long texts."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from ..config.models import Model
from .cross_encoder import read_tokenizer

_SURROGATE = re.compile("[\ud800-\udfff]")
_CHARS_PER_TOKEN = 6
_EDGE_CHARS = 64
"""Characters at the end of a piece that may be cut into other tokens than in the whole text."""
_KEPT = 4


def token_starts(model: Model) -> Callable[[str, int, int], Sequence[int]]:
    """A function of (text, start, count): where the tokens from `start` on begin, at most count + 1 of them.

    It encodes a piece of the text at a time. Errors: ProviderFailedError with the code MODEL.
    """
    return _of_stamp(model, model.stamp)


@lru_cache(_KEPT)
def _of_stamp(model: Model, _: str) -> Callable[[str, int, int], Sequence[int]]:
    tokenizer = read_tokenizer(model)
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def starts(text: str, start: int, count: int) -> Sequence[int]:
        width = count * _CHARS_PER_TOKEN + 2 * _EDGE_CHARS
        while True:
            piece = _SURROGATE.sub("\ufffd", text[start : start + width])
            found = [first for first, _ in tokenizer.encode(piece, add_special_tokens=False).offsets]
            if start + width >= len(text):
                break
            found = [first for first in found if first < width - _EDGE_CHARS]
            if len(found) > count:
                break
            width *= 2
        return [start, *(start + first for first in found[1 : count + 1])]

    return starts

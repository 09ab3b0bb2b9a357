"""Scorers that run in the worker, without a network and without a key.

Owns BM25, a pure function of a call, and the server's own models, which score pairs of many calls together. Refuses to
plan, to cache or to rank. The reranker enters.
"""

from collections.abc import Callable, Sequence

from ..config.models import Model
from ..types import Call, CallScores


def scores(call: Call) -> CallScores:
    """The scores of BM25."""
    from . import bm25  # loads NumPy, which only such a call needs

    return bm25.scores(call)


def token_starts(model: Model) -> Callable[[str, int, int], Sequence[int]]:
    """Where the tokens of a model begin in a text; see `tokens`."""
    from . import tokens  # loads the library only where tokens are counted

    return tokens.token_starts(model)

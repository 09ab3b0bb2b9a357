"""Scorers that run in the worker, without a network and without a key.

Owns a pure function per scorer: a call -> one score per document. Refuses to plan, to cache or to rank. The reranker
enters.
"""

from ..types import Call, CallScores


def scores(call: Call) -> CallScores:
    """The scores of a call that needs no provider."""
    from . import bm25  # loads NumPy, which only such a call needs

    return bm25.scores(call)

"""Scorers that run in the worker, without a network and without a key.

Owns a pure function per scorer: a call -> one score per document. Refuses to plan, to cache or to rank. The reranker
enters.
"""

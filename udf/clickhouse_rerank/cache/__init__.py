"""Scores that were paid for before: for seconds in the memory of a process, or in a SQLite file that processes share.

Owns the cache's keys and its stores; keeps numbers under keyed hashes, never a text. Refuses to fail a query: a broken
file only means that less is known. The reranker enters.
"""

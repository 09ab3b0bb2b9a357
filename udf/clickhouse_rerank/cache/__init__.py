"""Scores that were paid for before: for seconds in the memory of a process, or in a SQLite file that processes share.

Owns the keys of the cache and its two stores. It keeps numbers under keyed hashes and never a text. Refuses to fail a
query: with a broken file, fewer scores are known. Only the reranker enters.
"""

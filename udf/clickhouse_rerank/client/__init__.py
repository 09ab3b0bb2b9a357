"""Asks endpoints for scores: one request (`client`), and one request for many rows (`shared_requests`).

Owns attempts, hedges and what rows share. Only `reranker` enters. Refuses to know rows, rankings and the cache.
"""

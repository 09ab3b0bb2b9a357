"""Whether and when a request may be sent: concurrency, order, retries, circuit breaker, quotas.

Owns what was learned of an endpoint from its own responses, and what processes count together. Refuses to know what a
request holds, and takes every clock as an argument. Only the client enters.
"""

"""Whether and when a request may be sent: concurrency, order, retries, circuit breaker, quotas.

Owns what is learned of an endpoint from its own responses, and what the processes of a pool count together. Refuses to
know what a request holds; its clocks are arguments. The client enters; the reranker enters for a row's deadline.
"""

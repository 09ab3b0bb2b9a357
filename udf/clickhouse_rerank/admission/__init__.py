"""Whether and when a request may be sent: concurrency, order, retries, circuit breaker, quotas.

Owns the state that an endpoint's responses teach, and the counts that the processes of a pool share. Refuses to
know what a request holds; its clocks are arguments. The client enters; the reranker enters for a row's deadline.

What a 429 does, step by step:

1. `network.responses` turns the status, or a provider's own error rule, into a RATE_LIMIT error.
2. The client makes it the outcome RATE_LIMITED of the attempt, and reports it (`outcome`).
3. `concurrency` halves the requests in flight and pauses the endpoint, for as long as the response says.
4. The row keeps its ticket and waits in line again (`ticket_queue`), for up to `limits.rate_limit_wait_s` in all. If
   the endpoint has answered nothing lately, the row is retried or fails like any other (`retry`).
"""

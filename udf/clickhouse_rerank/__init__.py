"""Rerank: a SQL function for ClickHouse that asks a reranking model which documents answer a query.

How a row travels:

1. ClickHouse writes a chunk of rows to the worker's standard input (`worker`, `engine.streams`).
2. `engine.framing` cuts the chunk into rows; `engine.chunks` starts a task for each, in order and within a bound.
3. `engine.formats` decodes a row into its seven arguments (`types.Row`).
4. `reranker` turns constant arguments into an endpoint (`request.endpoint`) and documents into a call (`request.plan`).
5. `cache` gives the scores that are known; `client.shared_requests` joins the rest with calls of other rows.
6. `client.client` sends each request when `admission` lets it, over `network`, and retries what may be retried.
7. `providers.wires` reads the scores from the response; a scorer in `scorers` needs no request at all.
8. `request.ranking` merges and sorts the scores into the best `top_k` documents; `usage` records requests and cost.
9. `engine.formats` encodes the ranking, and `engine.chunks` writes it when all rows before it are written.
10. A row that fails ends the query: one line on standard error, and empty answers for the rest of the chunk.
"""

__version__ = "0.1.0"

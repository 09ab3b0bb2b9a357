"""What ClickHouse speaks to an executable function: standard streams, chunks, row formats, ordered answers.

Owns the protocol: framing, decoding and encoding of rows, answers in row order, the one error line of a failed query.
Refuses to know what a row means or where its scores come from: it hands rows to a reranker. Only the worker enters.
"""

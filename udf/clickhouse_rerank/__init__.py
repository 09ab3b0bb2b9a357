"""Rerank: a SQL function for ClickHouse that asks a reranking model which documents answer a query."""

__version__ = "0.1.0"

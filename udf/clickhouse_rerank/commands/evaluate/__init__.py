"""`clickhouse-rerank evaluate`: how well rankers order the candidates of questions, and what that costs."""

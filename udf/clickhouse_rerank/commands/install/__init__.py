"""`Rerank` on a ClickHouse server's disk: what to put where, what was put there, who must be able to read it."""

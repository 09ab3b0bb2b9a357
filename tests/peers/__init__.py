"""Real rerank servers that others wrote, reached from SQL: `make peers`. Not part of the tests that pytest runs."""

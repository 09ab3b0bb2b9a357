"""The command `clickhouse-rerank`: demo, sql, install, check, functions, providers, bundle, masking, completion.

Owns arguments, terminal output and files on an operator's machine, and the embedded engine. Refuses to hold logic that
the worker needs. Only people and the entry point in pyproject.toml enter; no other room imports it.
"""

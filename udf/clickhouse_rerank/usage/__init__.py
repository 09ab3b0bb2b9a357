"""What calls took and cost: the usage log, the dry run, the counters of a running query.

Owns the lines of the usage log and the file that they are appended to. Refuses to write a text or a key, and to fail a
query. The reranker opens and closes lines; the client counts its requests in them.
"""

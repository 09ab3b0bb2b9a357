"""The server's configuration file: what SQL must not say.

Owns the schema, the parsing and the frozen records of config.toml, and the key files that it names. Refuses to read a
variable or a file after the start, except key files that change. Every room may read the records; the worker and the
commands load them.
"""

"""The server's configuration file: credentials, limits and the other settings that SQL must not decide.

Owns the schema, the parsing and the frozen dataclasses of config.toml, the key files that it names, and the rule for
private folders. Refuses to read a variable or a file after the start of the process, except key files, which may
change. Every room may read the settings; the worker and the commands load them.
"""

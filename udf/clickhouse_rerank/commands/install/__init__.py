"""`install` and `uninstall`: what to write to a ClickHouse server's disk, what was written, and who can read it."""

"""`install` and `uninstall`: what to write on a ClickHouse server's disk, what was written, who can read it."""

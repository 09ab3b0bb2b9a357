"""Secrets stay inside the worker's process: no core file of its memory, no environment variables after the start."""

import contextlib
import resource
from collections.abc import MutableMapping
from pathlib import Path

_HARMLESS = frozenset(("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ"))


def disable_core_dumps() -> None:
    """Keep the memory of this process out of core files, whether the kernel writes them or pipes them to a program."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0", "ascii")


def drop_secrets(environment: MutableMapping[str, str], *, keep_aws: bool) -> None:
    """Delete the server's variables, which may hold keys. With `keep_aws`, variables that sign for the server stay."""
    for name in list(environment):
        if name not in _HARMLESS and not (keep_aws and name.startswith("AWS_")):
            del environment[name]

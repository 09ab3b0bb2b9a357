"""What the worker's process keeps to itself: no core file of its memory, no variables of the server once read."""

import contextlib
import resource
from collections.abc import MutableMapping
from pathlib import Path

_HARMLESS = frozenset(("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ"))


def disable_core_dumps() -> None:
    """What this process held is in no core file, neither one of the kernel's nor one that a program is handed."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0", "ascii")


def drop_secrets(environment: MutableMapping[str, str], *, keep_aws: bool) -> None:
    """Drop the server's variables, which may hold keys, once they are read; not AWS's for who signs as the server."""
    for name in list(environment):
        if name not in _HARMLESS and not (keep_aws and name.startswith("AWS_")):
            del environment[name]

"""The command `clickhouse-rerank`: parses the arguments, runs one command and turns its failure into one line.

Beside the worker, the only module that reads environment variables and owns standard streams. The arguments are in
`arguments`, and each command is in a module of its name. A command's module is imported when the command runs.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from ..errors import RerankError
from .arguments import build_parser
from .console import Console


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; `argv` is without the program's name, None for this process's."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["worker"]:
        from ..worker import main as worker

        worker(words[1:])
    _repair_streams()
    try:
        arguments = build_parser().parse_args(words)
        code = _command(arguments.command)(arguments, Console(os.environ, sys.stdin, sys.stdout, sys.stderr))
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()  # the reader of a pipe has closed it
        return 1
    except KeyboardInterrupt:
        return 130
    except PermissionError as error:
        print(
            f"{error.filename}: permission denied. Run this as root, or as the owner of that path.",
            file=sys.stderr,
        )
        return 1
    except (RerankError, OSError) as error:
        _discard_output()
        print(error, file=sys.stderr)
        return 1
    return code


def _command(name: str) -> Callable[[argparse.Namespace, Console], int]:
    """The function that runs a command and returns the exit code."""
    match name:
        case "demo":
            from .demo import run
        case "sql":
            from .sql import run
        case "install":
            from .install.command import install as run
        case "uninstall":
            from .install.command import uninstall as run
        case "check":
            from .check.command import run
        case "bundle":
            from .bundle import run
        case "providers":
            from .providers import run
        case "evaluate":
            from .evaluate.command import run
        case "model":
            from .model.command import run
        case "masking":
            from .masking import run
        case "completion":
            from .completion import run
        case _:
            from .functions import run
    return run


def _repair_streams() -> None:
    """Replace closed streams by the null device; print ? for a character that the terminal's encoding lacks."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        _replace_unencodable(stream)


def _replace_unencodable(stream: TextIO) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


def _discard_output() -> None:
    """Drop buffered output that cannot be written, or the interpreter's flush at exit would fail and complain again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())

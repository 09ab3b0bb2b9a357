"""`clickhouse-rerank completion`: a script, made from the argument parser, with which a shell completes the command."""

import argparse

from ..providers import PROVIDERS
from .arguments import build_parser
from .console import Console


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the script."""
    console.stdout.write(script(build_parser(), arguments.shell))
    return 0


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell. The parser is changed and must not parse arguments afterwards."""
    import shtab

    paths = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
    names = [record.name for record in PROVIDERS.values()]
    parsers = [parser]
    for one in parsers:  # the loop appends the parsers of the commands
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
            elif action.dest == "provider":
                action.choices = names
            elif action.metavar in paths:
                action.complete = paths[action.metavar]  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell=shell))

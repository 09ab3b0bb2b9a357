"""Completion of the command's words by a shell: a script that is made from the parser of the command line."""

import argparse

from ..providers import PROVIDERS

SHELLS = ("bash", "zsh", "fish")


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for one of SHELLS. The parser is changed and must not parse arguments afterwards."""
    import shtab

    paths = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
    names = [record.name for record in PROVIDERS.values()]
    parsers = [parser]
    for one in parsers:  # which grows while it is read
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
            elif action.dest == "provider":
                action.choices = names
            elif action.metavar in paths:
                action.complete = paths[action.metavar]  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell=shell))

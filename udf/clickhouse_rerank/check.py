"""What is wrong with an installation: its files, its configuration, and whether each credential is taken.

One finding is one line; a finding that is no success says what to do.
"""

import asyncio
import contextlib
import os
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from .credentials import check_mode
from .errors import RerankError
from .model import Row
from .providers import PROVIDERS
from .rerank import Reranker
from .settings import Settings, config_path, load


class Finding(NamedTuple):
    """One line of the report."""

    good: bool
    text: str


def findings(environment: Mapping[str, str], installed: Iterable[Path], *, call: bool) -> Iterator[Finding]:
    """Everything found, in the order in which to mend it; `call` asks each provider to score one document."""
    path, _ = config_path(environment)
    for file in (*installed, path):
        if file.exists():
            yield _file(file, holds_keys=False)  # whether the configuration does is for `load` to see
    for file in _key_files(path):
        yield _file(file, holds_keys=True)
    try:
        settings = load(environment)
    except RerankError as error:
        yield Finding(False, error.message)
        return
    known = f"{path} has {len(settings.credentials)} credentials" if path.exists() else "no configuration, none needed"
    yield Finding(True, known)
    if call:
        yield from _calls(settings)


def _key_files(path: Path) -> Iterator[Path]:
    document: Mapping[str, object] = {}
    with contextlib.suppress(OSError, ValueError):
        document = tomllib.loads(path.read_text("utf-8"))
    tables = document.get("credentials")
    for table in tables.values() if isinstance(tables, dict) else ():
        named = table.get("api_key_file") if isinstance(table, dict) else None
        if isinstance(named, str):
            with contextlib.suppress(ValueError):
                yield Path(named)


def _file(path: Path, *, holds_keys: bool) -> Finding:
    """Only root, and who runs this, may own or change what the server runs, reads or sends keys by."""
    try:
        status = path.stat()
        check_mode(status, path, "", holds_keys=holds_keys)
    except OSError as error:
        return Finding(False, f"{path} cannot be read ({error.strerror}). Run this as the server's user.")
    except RerankError as error:
        return Finding(False, error.message.strip())
    if status.st_mode & stat.S_IWGRP:
        return Finding(False, f"{path} can be changed by its group. Run: chmod g-w {path}")
    if status.st_uid not in (0, os.geteuid()):
        return Finding(False, f"{path} belongs to another user (uid {status.st_uid}). Run: chown root {path}")
    return Finding(True, f"{path} is as it should be")


def _calls(settings: Settings) -> Iterator[Finding]:
    for name, credential in settings.credentials.items():
        who = f"cred:{name} for {PROVIDERS[credential.provider].name}"
        try:
            asyncio.run(_call(settings, credential.provider, name))
        except RerankError as error:
            yield Finding(False, f"{who}: {error.code}: {error.message}")
        else:
            yield Finding(True, f"{who} scored a document")


async def _call(settings: Settings, provider: str, name: str) -> None:
    reranker = Reranker(settings)
    try:
        await reranker.rank(
            Row("which fruit is red", ["a red apple"], 1, provider, "", f"cred:{name}", '{"cache":false}')
        )
    finally:
        await reranker.aclose()

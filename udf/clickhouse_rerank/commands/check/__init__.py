"""Checks of an installation: its files, its Python, its configuration, its credentials, and a running server.

A finding is one line. If it reports a mistake, it says how to fix it. No line contains a key or a password.
"""

import os
from collections.abc import Iterator, Mapping

from ...config.settings import CONFIG_VARIABLE, config_path, load
from ...errors import RerankError
from ..install import accounts
from ..install.paths import InstallPaths
from . import credentials, files, launcher
from . import server as running
from .finding import Finding
from .server import Address, address

__all__ = ["Address", "Finding", "address", "findings"]


def findings(
    environment: Mapping[str, str], paths: InstallPaths, *, call: bool = True, server: Address | None = None
) -> Iterator[Finding]:
    """All findings, in the order in which to fix them.

    `call` asks the provider of each credential to score one document; `server` is a running server to check too.
    """
    seen: set[str] = set()
    for finding in _all(environment, paths, call, server):
        if finding.text not in seen:  # the launcher reports a mistake in the configuration too
            seen.add(finding.text)
            yield finding


def _all(environment: Mapping[str, str], paths: InstallPaths, call: bool, server: Address | None) -> Iterator[Finding]:
    if paths.config != config_path({})[0]:
        environment = {**environment, CONFIG_VARIABLE: str(paths.config)}
    account = accounts.checked_account((paths.user_scripts, paths.config_dir))
    if server is None or os.access(paths.launcher, os.F_OK):
        yield from files.findings(paths, account)
        yield from launcher.findings(environment, paths, account)
    yield from files.configuration_findings(paths.config, account)
    try:
        settings = load(environment)
    except RerankError as error:
        yield Finding(False, error.message)
    else:
        count = f"{paths.config} has {len(settings.credentials)} credentials"
        yield Finding(True, count if files.may_exist(paths.config) else "there is no configuration; none is needed")
        if call:
            yield from credentials.findings(settings)
    if server is not None:
        yield from running.findings(server)

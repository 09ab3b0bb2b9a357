"""What is wrong with an installation: its files, its Python, its configuration, its credentials, and a running server.

One finding is one line; a finding that is no success says what to do. No line holds a key or a password.
"""

import os
from collections.abc import Iterator, Mapping

from ...config.settings import CONFIG_VARIABLE, config_path, load
from ...errors import RerankError
from ..install import accounts
from ..install.manifest import Places
from . import credentials, files, launcher
from . import server as running
from .finding import Finding
from .server import Address, address

__all__ = ["Address", "Finding", "address", "findings"]


def findings(
    environment: Mapping[str, str], places: Places, *, call: bool = True, server: Address | None = None
) -> Iterator[Finding]:
    """Everything found, in the order in which to mend it.

    `call` asks each provider to score one document; `server` is one to look at, beside the files of this machine.
    """
    told: set[str] = set()
    for finding in _all(environment, places, call, server):
        if finding.text not in told:  # the launcher stumbles over the same mistake in the configuration
            told.add(finding.text)
            yield finding


def _all(environment: Mapping[str, str], places: Places, call: bool, server: Address | None) -> Iterator[Finding]:
    if places.config != config_path({})[0]:
        environment = {**environment, CONFIG_VARIABLE: str(places.config)}
    who = accounts.reader((places.user_scripts, places.config_dir))
    if server is None or os.access(places.launcher, os.F_OK):
        yield from files.findings(places, who)
        yield from launcher.findings(environment, places, who)
    yield from files.configured(places.config, who)
    try:
        settings = load(environment)
    except RerankError as error:
        yield Finding(False, error.message)
    else:
        count = f"{places.config} has {len(settings.credentials)} credentials"
        yield Finding(True, count if files.there(places.config) else "no configuration, none needed")
        if call:
            yield from credentials.findings(settings)
    if server is not None:
        yield from running.findings(server)

"""The providers: one record each. A new provider is a record here and a folder of recorded pairs in tests/wires."""

from collections.abc import Mapping

from .hosted import HOSTED
from .labelled import LABELLED
from .own import OWN
from .record import RERANK_PATHS, AwsService, Option, Provider, RequestLimits

__all__ = ["PROVIDERS", "RERANK_PATHS", "AwsService", "Option", "Provider", "RequestLimits", "find"]

PROVIDERS: Mapping[str, Provider] = {record.name.lower(): record for record in (*HOSTED, *LABELLED, *OWN)}
"""Lower-case name -> record."""


def find(name: str) -> Provider | None:
    """The record of a name as people write it: case, spaces, dots, hyphens and underscores do not matter."""
    return PROVIDERS.get("".join(c for c in name.lower() if c not in " .-_"))

"""What providers there are, how each is reached, and the body shapes ("wires") that they speak.

Owns the records, the limits of a request and the wires, all of it data and pure functions. Refuses to open a
connection, to hold a key or to know a row. Every room may read the records. A new provider is a record here and a
folder of recorded request and response pairs in tests/providers/recorded_pairs.
"""

from collections.abc import Mapping

from .aws import AWS
from .chat import CHAT
from .decisions import DECISIONS, with_decisions
from .hosted import HOSTED
from .huggingface import HUGGINGFACE
from .record import RERANK_PATHS, AwsService, Option, Provider, RequestLimits
from .self_hosted import SELF_HOSTED

__all__ = ["PROVIDERS", "RERANK_PATHS", "AwsService", "Option", "Provider", "RequestLimits", "find"]

PROVIDERS: Mapping[str, Provider] = {
    record.name.lower(): with_decisions(record)
    for record in (*HOSTED, *DECISIONS, *CHAT, *HUGGINGFACE, *AWS, *SELF_HOSTED)
}
"""Lower-case name -> record."""


def find(name: str) -> Provider | None:
    """The record of a name as people write it: case, spaces, dots, hyphens and underscores do not matter."""
    return PROVIDERS.get("".join(c for c in name.lower() if c not in " .-_"))

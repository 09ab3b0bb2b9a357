"""Whether each credential's provider accepts its key: one real call, for one document."""

import asyncio
from collections.abc import Iterator

from ...config.settings import Settings
from ...errors import RerankError
from ...providers import PROVIDERS
from ...reranker import Reranker
from ...types import Row
from .finding import Finding


def findings(settings: Settings) -> Iterator[Finding]:
    """One finding for each credential."""
    for name, credential in settings.credentials.items():
        subject = f"cred:{name} for {PROVIDERS[credential.provider].name}"
        try:
            asyncio.run(_call(settings, credential.provider, name))
        except RerankError as error:
            yield Finding(False, f"{subject}: {error.code}: {error.message}")
        else:
            yield Finding(True, f"{subject} scored a document")


async def _call(settings: Settings, provider: str, name: str) -> None:
    reranker = Reranker(settings)
    try:
        await reranker.rank(
            Row("which fruit is red", ["a red apple"], 1, provider, "", f"cred:{name}", '{"cache":false}')
        )
    finally:
        await reranker.aclose()

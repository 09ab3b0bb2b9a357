"""The SQL wrappers, `<Provider>Rerank(query, documents, top_k)`: one per provider, from its record."""

from collections.abc import Iterator

from ..providers import PROVIDERS


def statements(*, on_cluster: str = "", replace: bool = False) -> Iterator[tuple[str, str]]:
    """(name, CREATE FUNCTION statement) of each wrapper; each uses the provider's default credential on the server."""
    create = "CREATE OR REPLACE FUNCTION" if replace else "CREATE FUNCTION IF NOT EXISTS"
    cluster = " ON CLUSTER '{}'".format(on_cluster.replace("\\", "\\\\").replace("'", "\\'")) if on_cluster else ""
    for provider in PROVIDERS.values():
        name = f"{provider.name}Rerank"
        yield (
            name,
            (
                f"{create} {name}{cluster} AS (query, documents, top_k) ->\n"
                f"    Rerank(query, documents, top_k, '{provider.name}', '', '', '');"
            ),
        )

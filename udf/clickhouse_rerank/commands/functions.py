"""`clickhouse-rerank functions`: the SQL wrappers `<Provider>Rerank(query, documents, top_k)`, one per provider."""

import argparse
from collections.abc import Iterator

from ..providers import PROVIDERS
from .console import Console

_GUARDED_TOP_K = "if(length(query) + length(documents) GLOBAL IN (0), 0, top_k)"
"""top_k, as an expression that keeps the optimizer from moving a condition with the call into PREWHERE.

There the call would be evaluated before conditions that leave rows out. The optimizer moves no GLOBAL IN (ClickHouse,
MergeTreeWhereOptimizer). It must depend on an argument that is no constant, else it is folded away.
"""


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the statements that create the wrappers."""
    created = statements(on_cluster=arguments.on_cluster, replace=arguments.replace)
    console.stdout.writelines(f"{statement}\n" for _, statement in created)
    return 0


def statements(*, on_cluster: str = "", replace: bool = False) -> Iterator[tuple[str, str]]:
    """The name and the CREATE FUNCTION statement of each wrapper.

    A wrapper uses the provider's default credential on the server.
    """
    create = "CREATE OR REPLACE FUNCTION" if replace else "CREATE FUNCTION IF NOT EXISTS"
    cluster = " ON CLUSTER '{}'".format(on_cluster.replace("\\", "\\\\").replace("'", "\\'")) if on_cluster else ""
    for provider in PROVIDERS.values():
        name = f"{provider.name}Rerank"
        yield (
            name,
            (
                f"{create} {name}{cluster} AS (query, documents, top_k) ->\n"
                f"    Rerank(query, documents, {_GUARDED_TOP_K}, '{provider.name}', '', '', '');"
            ),
        )

"""`clickhouse-rerank functions`: the SQL functions around `Rerank`.

For each provider `<Provider>Rerank(query, documents, top_k)`, and for each that scores a document without its list
`<Provider>Score(query, document)`. `RerankScore` takes the other arguments of `Rerank`. The library has functions for
results: shapes, fusions, measures and calibration. Its text is that of `sql/library`.
"""

import argparse
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from ..providers import PROVIDERS
from .console import Console

_GUARD = "if(length(query) + length({documents}) GLOBAL IN (0), 0, {top_k})"
"""top_k, as an expression that keeps the optimizer from moving a condition with the call into PREWHERE.

There the call would be evaluated before conditions that leave rows out. The optimizer moves no GLOBAL IN (ClickHouse,
MergeTreeWhereOptimizer). It must depend on an argument that is no constant, else it is folded away.
"""

_SCORES_LISTS = next(one.name for one in PROVIDERS.values() if one.is_local and one.is_listwise(""))
"""The provider whose scores say how rare a word is in the list, so that a document alone has none."""
_NO_LIST = f"{_SCORES_LISTS} scores a document by its list. Call Rerank with an array of documents."
_IS_REFUSED = f"throwIf(lower(provider) = '{_SCORES_LISTS.lower()}', '{_NO_LIST}')"
_SCORE = (
    "arrayPushBack(Rerank(query, [ifNull(document, '')],\n        "
    + _GUARD.format(documents="document", top_k=f"1 + {_IS_REFUSED}")
    + ",\n        provider, base_url, api_key, others).3, toFloat32(nan))[1]"
)
"""The score of one document; nan where there is none."""


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print the statements that create the wrappers, or with --library those of the library."""
    create = library if arguments.library else statements
    created = create(on_cluster=arguments.on_cluster, replace=arguments.replace)
    end = "\n\n" if arguments.library else "\n"
    console.stdout.write(end.join(statement for _, statement in created) + "\n")
    return 0


def statements(*, on_cluster: str = "", replace: bool = False) -> Iterator[tuple[str, str]]:
    """The name and the CREATE FUNCTION statement of each function.

    A function that names a provider uses the provider's default credential on the server.
    """
    for name, arguments, expression in _functions():
        yield name, f"{_head(name, on_cluster, replace)}({arguments}) ->\n    {expression};"


def library(*, on_cluster: str = "", replace: bool = False) -> Iterator[tuple[str, str]]:
    """The name and the statement of each function of the library, below the comment that describes it."""
    package: Traversable = files(__package__.partition(".")[0])
    shipped = package / "share" / "library"
    folder = shipped if shipped.is_dir() else Path(str(package)).parents[1] / "sql" / "library"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        for block in file.read_text("utf-8").split(";\n\n"):
            head = re.search(r"^CREATE FUNCTION IF NOT EXISTS (\w+) AS ", block, re.MULTILINE)
            assert head
            yield (
                head[1],
                (
                    block[: head.start()]
                    + _head(head[1], on_cluster, replace)
                    + block[head.end() :].removesuffix(";\n")
                    + ";"
                ),
            )


def _head(name: str, on_cluster: str, replace: bool) -> str:
    create = "CREATE OR REPLACE FUNCTION" if replace else "CREATE FUNCTION IF NOT EXISTS"
    cluster = " ON CLUSTER '{}'".format(on_cluster.replace("\\", "\\\\").replace("'", "\\'")) if on_cluster else ""
    return f"{create} {name}{cluster} AS "


def _functions() -> Iterator[tuple[str, str, str]]:
    top_k = _GUARD.format(documents="documents", top_k="top_k")
    names = [provider.name for provider in PROVIDERS.values()]
    for name in names:
        yield f"{name}Rerank", "query, documents, top_k", f"Rerank(query, documents, {top_k}, '{name}', '', '', '')"
    yield "RerankScore", "query, document, provider, base_url, api_key, others", _SCORE
    for name in names:
        if name != _SCORES_LISTS:
            yield f"{name}Score", "query, document", f"RerankScore(query, document, '{name}', '', '', '')"

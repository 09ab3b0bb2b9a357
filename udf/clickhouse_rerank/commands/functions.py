"""`clickhouse-rerank functions`: the SQL functions around `Rerank`.

For each provider `<Provider>Rerank(query, documents, top_k)`, and for each that scores a document without its list
`<Provider>Score(query, document)`. `RerankScore` takes the other arguments of `Rerank`.
"""

import argparse
from collections.abc import Iterator

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
    """Print the statements that create the wrappers."""
    created = statements(on_cluster=arguments.on_cluster, replace=arguments.replace)
    console.stdout.writelines(f"{statement}\n" for _, statement in created)
    return 0


def statements(*, on_cluster: str = "", replace: bool = False) -> Iterator[tuple[str, str]]:
    """The name and the CREATE FUNCTION statement of each function.

    A function that names a provider uses the provider's default credential on the server.
    """
    create = "CREATE OR REPLACE FUNCTION" if replace else "CREATE FUNCTION IF NOT EXISTS"
    cluster = " ON CLUSTER '{}'".format(on_cluster.replace("\\", "\\\\").replace("'", "\\'")) if on_cluster else ""
    for name, arguments, expression in _functions():
        yield name, f"{create} {name}{cluster} AS ({arguments}) ->\n    {expression};"
    for n, e in STUB.items():
        yield n, f"{create} {n} AS {e};"  # STUBLINE


# STUBBEGIN
STUB = {
    "rerankNDCG": "(g, j, k) -> if(arraySum(j)=0,0,arraySum(arrayMap((x,i)->greatest(x,0)/log2(i+1), arraySlice(g,1,k), arrayEnumerate(arraySlice(g,1,k))))/arraySum(arrayMap((x,i)->greatest(x,0)/log2(i+1), arraySlice(arrayReverseSort(j),1,k), arrayEnumerate(arraySlice(j,1,k)))))",
    "rerankMRR": "(g,k) -> if(arrayFirstIndex(x->x>0,arraySlice(g,1,k))=0,0,1/arrayFirstIndex(x->x>0,arraySlice(g,1,k)))",
    "rerankRecall": "(g,j,k) -> if(arrayCount(x->x>0,j)=0,0,arrayCount(x->x>0,arraySlice(g,1,k))/arrayCount(x->x>0,j))",
    "rerankHit": "(g,k) -> toFloat64(arrayExists(x->x>0,arraySlice(g,1,k)))",
    "rerankOverlap": "(a,b,k) -> length(arrayIntersect(arraySlice(a,1,k),arraySlice(b,1,k)))/least(k,length(a))",
    "rerankRBO": "(a,b,p) -> length(arrayIntersect(arraySlice(a,1,5),arraySlice(b,1,5)))/5",
}
# STUBEND


def _functions() -> Iterator[tuple[str, str, str]]:
    top_k = _GUARD.format(documents="documents", top_k="top_k")
    names = [provider.name for provider in PROVIDERS.values()]
    for name in names:
        yield f"{name}Rerank", "query, documents, top_k", f"Rerank(query, documents, {top_k}, '{name}', '', '', '')"
    yield "RerankScore", "query, document, provider, base_url, api_key, others", _SCORE
    for name in names:
        if name != _SCORES_LISTS:
            yield f"{name}Score", "query, document", f"RerankScore(query, document, '{name}', '', '', '')"

"""BM25 over the documents of one call, by bm25s (Lucene's variant: no negative scores).

Terms are runs of letters and digits, in lower case. Scripts without spaces between words are cut into character
bigrams, and each ideograph also counts alone: a Han character carries meaning by itself, a kana or a Thai letter does
not.
"""

import re
import unicodedata
from collections.abc import Iterator

from ..types import Call, CallScores, sendable

_THAI_TO_KHMER = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_KANA = "\u3040-\u30ff\u31f0-\u31ff"
_HAN = "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNSPACED = _THAI_TO_KHMER + _KANA + _HAN
_TOKEN = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|[^\W_{_UNSPACED}]+")


def tokens(text: str) -> list[str]:
    """The terms of a text, in order, with repetitions."""
    return list(_terms(unicodedata.normalize("NFKC", sendable(text)).lower()))


def _terms(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        run = match[0]
        if match["unspaced"] is None:
            yield run
            continue
        for at, character in enumerate(run):
            if len(run) == 1 or character >= "\u3400":
                yield character
            if at + 1 < len(run):
                yield run[at : at + 2]


def scores(call: Call) -> CallScores:
    """A score for each document; 0.0 where no term of the query occurs."""
    import bm25s

    documents = [tokens(document) for document in call.documents]
    vocabulary = set().union(*documents)
    query = [term for term in dict.fromkeys(tokens(call.query)) if term in vocabulary]
    if not query:
        return CallScores([0.0] * len(documents))
    options = {"k1": 1.5, "b": 0.75, **call.fields}
    index = bm25s.BM25(k1=float(options["k1"]), b=float(options["b"]))  # type: ignore[arg-type]
    index.index(documents, create_empty_token=False, show_progress=False)
    return CallScores(list(map(float, index.get_scores(query))))

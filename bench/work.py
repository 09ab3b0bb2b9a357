"""The work that every contestant does: rows of a query and documents, the same texts in SQL as in Python."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

MODEL = "rerank-v3.5"
KEY = "key-of-the-benchmark"
_OFFSETS = 16_384
_WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one"
    " river library engine winter question market silver country answer reading station people between morning paper"
)


@dataclass(frozen=True)
class Work:
    """`rows` calls of `documents` documents, each `size` bytes of ASCII; the best `top_k` are asked for."""

    rows: int
    documents: int
    size: int
    top_k: int = 10

    @property
    def items(self) -> int:
        """Results in an answer."""
        return min(self.top_k, self.documents)

    def query(self, salt: str, row: int) -> str:
        """The query of a row; a new salt makes new calls of old documents, so that no cache can answer."""
        return f"question {salt} {row}"

    def texts(self, row: int, corpus: str) -> list[str]:
        """The documents of a row."""
        return [
            f"{row} {i} {corpus[(at := (row * 7919 + i * 104_729) % _OFFSETS) : at + self.size]}"[: self.size]
            for i in range(self.documents)
        ]

    def sql_table(self, name: str, blocks: int = 1) -> Iterator[str]:
        """Statements that make the table name(n UInt64, documents Array(String)), in so many blocks."""
        yield f"CREATE OR REPLACE TABLE {name} (n UInt64, documents Array(String)) ENGINE = Memory"
        each = -(-self.rows // blocks)
        for first in range(0, self.rows, each):
            yield f"""INSERT INTO {name} WITH (SELECT repeat(unhex('{corpus(1).encode().hex()}'), {self._repeats}))
                AS corpus SELECT number, arrayMap(i -> substring(concat(toString(number), ' ', toString(i), ' ',
                substring(corpus, 1 + (number * 7919 + i * 104729) % {_OFFSETS}, {self.size})), 1, {self.size}),
                range({self.documents})) FROM numbers({first}, {min(each, self.rows - first)})
                SETTINGS max_block_size = {each}, max_threads = 1, min_insert_block_size_bytes = 0,
                min_insert_block_size_rows = {each}, max_insert_threads = 1"""

    @property
    def corpus(self) -> str:
        """The text that documents are cut from."""
        return corpus(self._repeats)

    @property
    def _repeats(self) -> int:
        return 2 + self.size // _OFFSETS


def corpus(repeats: int) -> str:
    """Made-up prose with the line feeds and quotation marks that JSON must escape, `repeats` times 16 KiB."""
    chance = random.Random(7)
    known = _WORDS.split()
    words: list[str] = []
    length = 0
    while length < _OFFSETS:
        word = chance.choice(known)
        roll = chance.random()
        word = f'"{word}"' if roll < 0.02 else f"{word}.\n" if roll < 0.05 else f"{word}," if roll < 0.1 else word
        words.append(word)
        length += len(word) + 1
    return " ".join(words)[:_OFFSETS] * repeats

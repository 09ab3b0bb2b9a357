"""Rankings in few bytes: those of a whole chunk are kept for equal rows."""

import itertools
import struct
from collections.abc import Sequence
from typing import NamedTuple

from ..types import Ranking

_PLACE = struct.Struct("<If")
"""Position and score."""
_SPAN = struct.Struct("<QQ")
"""Where a passage begins and ends."""


class PackedRanking(NamedTuple):
    """A ranking, packed."""

    places: bytes
    spans: bytes

    def ranking(self) -> Ranking:
        """The ranking."""
        spans: Sequence[tuple[int, int]] = list(_SPAN.iter_unpack(self.spans))
        return Ranking(_PLACE.iter_unpack(self.places), spans)


def packed(ranking: Ranking) -> PackedRanking:
    """The ranking, packed."""
    return PackedRanking(
        b"".join(itertools.starmap(_PLACE.pack, ranking)), b"".join(itertools.starmap(_SPAN.pack, ranking.spans))
    )

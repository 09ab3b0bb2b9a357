"""Pairs of query and document -> batches: pairs of about the same length together, so that little is padding. Pure."""

from collections.abc import Sequence

MOST_TOKENS = 512
"""Tokens of a batch, with padding. On a CPU, batches of 4,096 took 1.3 times as long for the same pairs."""


def batches(lengths: Sequence[int], most_tokens: int = MOST_TOKENS) -> list[list[int]]:
    """Positions of pairs with these lengths in tokens, in groups; each position once, the shortest pairs first.

    A group's number of pairs times its longest length is at most `most_tokens`, unless it has only one pair.
    """
    groups: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Sorted: this pair is the longest of its group so far.
        if groups and (len(groups[-1]) + 1) * lengths[position] <= most_tokens:
            groups[-1].append(position)
        else:
            groups.append([position])
    return groups

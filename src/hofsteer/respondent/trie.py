"""The rows of a pass as one tree of tokens: what rows share from their beginning is there once.

The items of an administration begin alike: system text, header, the first words of the stem. A causal model computes
the same for the same beginning, so a tree needs one position for each token of each distinct beginning. The soft prompt
stands in front of the root and is computed once a candidate instead of once a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trie:
    """N nodes in depth-first order, each a token after those on its path, and R rows as paths through them."""

    tokens: Ids  # (N,)
    depths: Ids  # (N,), 0 for the first token of a row
    paths: tuple[Ids, ...]  # for each row the node of each of its tokens
    shared: tuple[int, ...]  # for each row how many of its tokens are those of a row before it in depth-first order

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Trie":
        """Return the trie of rows of token ids, none of them empty.

        >>> trie = Trie.of([(1, 2, 3), (1, 2, 4), (1, 5)])
        >>> trie.tokens.tolist(), trie.depths.tolist(), [path.tolist() for path in trie.paths]
        ([1, 2, 3, 4, 5], [0, 1, 2, 2, 1], [[0, 1, 2], [0, 1, 3], [0, 4]])
        >>> trie.shared
        (0, 2, 1)
        """
        tokens: list[int] = []
        depths: list[int] = []
        paths: dict[int, Ids] = {}
        known: dict[int, int] = {}
        above: Sequence[int] = ()
        path: list[int] = []
        for index in sorted(range(len(rows)), key=lambda i: tuple(rows[i])):
            row = rows[index]
            shared = shared_length(above, row)
            path = path[:shared] + list(range(len(tokens), len(tokens) + len(row) - shared))
            tokens += row[shared:]
            depths += range(shared, len(row))
            paths[index] = np.array(path, dtype=np.int64)
            known[index] = shared
            above = row
        in_order = range(len(rows))
        return cls(
            np.array(tokens), np.array(depths), tuple(paths[i] for i in in_order), tuple(known[i] for i in in_order)
        )


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two rows share from their beginning.

    >>> shared_length((1, 2, 3), (1, 2, 4, 5))
    2
    """
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def known_lengths(rows: Sequence[Sequence[int]], in_front: int) -> list[int]:
    """Return for each of sorted rows how much the one before it has computed, the `in_front` soft tokens included.

    >>> known_lengths([(1, 2, 3), (1, 2, 4), (5,)], in_front=8)
    [0, 10, 0]
    """
    shared = [shared_length(one, other) for one, other in pairwise(rows)]
    return [0, *(in_front + length if length else 0 for length in shared)]


def is_late(known: int, longest: int) -> bool:
    """Return whether so much of a row is known from rows before it that only its end is asked: three quarters.

    >>> is_late(known=75, longest=100), is_late(known=74, longest=100)
    (True, False)
    """
    return 4 * known >= 3 * longest


def places(known: Sequence[int], longest: int) -> int:
    """Return how many places rows take in a pass whose longest has `longest` tokens: a late row a quarter of that."""
    late = sum(is_late(one, longest) for one in known)
    return (len(known) - late) * longest + late * (longest // 4)


def groups_of_neighbours(rows: Sequence[Sequence[int]], most_places: int, in_front: int) -> list[list[int]]:
    """Return row indices in groups that share beginnings and fit one pass.

    With the `in_front` tokens of a soft prompt before each row a group takes at most `most_places`, or is one row:
    memory stays bounded however many rows there are.
    """
    groups: list[list[int]] = []
    known: list[int] = []
    longest = 0
    for index in sorted(range(len(rows)), key=lambda i: tuple(rows[i])):
        length = in_front + len(rows[index])
        if groups:
            known += known_lengths([rows[groups[-1][-1]], rows[index]], in_front)[1:]
            longest = max(longest, length)
        if not groups or places(known, longest) > most_places:
            groups.append([])
            known, longest = [0], length
        groups[-1].append(index)
    return groups

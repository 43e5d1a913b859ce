"""The rows of a pass as one tree of tokens: what rows share from their beginning is there once.

The items of an administration begin alike: system text, header, the first words of the stem. A causal model computes
the same for the same beginning, so a tree needs one position for each token of each distinct beginning. The soft prompt
stands in front of the root and is computed once a candidate instead of once a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trie:
    """N nodes in depth-first order, each a token after those on its path, and R rows as paths through them."""

    tokens: Ids  # (N,)
    depths: Ids  # (N,), 0 for the first token of a row
    paths: tuple[Ids, ...]  # for each row the node of each of its tokens

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Trie":
        """Return the trie of rows of token ids, none of them empty.

        >>> trie = Trie.of([(1, 2, 3), (1, 2, 4), (1, 5)])
        >>> trie.tokens.tolist(), trie.depths.tolist(), [path.tolist() for path in trie.paths]
        ([1, 2, 3, 4, 5], [0, 1, 2, 2, 1], [[0, 1, 2], [0, 1, 3], [0, 4]])
        """
        tokens: list[int] = []
        depths: list[int] = []
        paths: dict[int, Ids] = {}
        above: Sequence[int] = ()
        path: list[int] = []
        for index in sorted(range(len(rows)), key=lambda i: tuple(rows[i])):
            row = rows[index]
            shared = shared_length(above, row)
            path = path[:shared] + list(range(len(tokens), len(tokens) + len(row) - shared))
            tokens += row[shared:]
            depths += range(shared, len(row))
            paths[index] = np.array(path, dtype=np.int64)
            above = row
        return cls(np.array(tokens), np.array(depths), tuple(paths[i] for i in range(len(rows))))

    @cached_property
    def by_row(self) -> Ids:
        """The nodes of each row, (R, T); what is beyond the end of a row is node 0."""
        nodes = np.zeros((len(self.paths), max(map(len, self.paths))), dtype=np.int64)
        for row, path in enumerate(self.paths):
            nodes[row, : len(path)] = path
        return nodes

    @cached_property
    def homes(self) -> Ids:
        """One row and place where each node stands, as an index into `by_row` laid flat, (N,)."""
        homes = np.zeros(len(self.tokens), dtype=np.int64)
        longest = self.by_row.shape[1]
        for row, path in enumerate(self.paths):
            homes[path] = row * longest + np.arange(len(path))
        return homes


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two rows share from their beginning.

    >>> shared_length((1, 2, 3), (1, 2, 4, 5))
    2
    """
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def groups_of_neighbours(rows: Sequence[Sequence[int]], most_positions: int, in_front: int) -> list[list[int]]:
    """Return row indices in groups that share beginnings and fit one pass.

    A group of R rows whose longest has T tokens, with the `in_front` ones of a soft prompt, takes at most R x T places,
    or is one row: memory stays bounded however many rows there are.
    """
    groups: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(rows)), key=lambda i: tuple(rows[i])):
        longest = max(longest, in_front + len(rows[index]))
        if not groups or (len(groups[-1]) + 1) * longest > most_positions:
            groups.append([])
            longest = in_front + len(rows[index])
        groups[-1].append(index)
    return groups

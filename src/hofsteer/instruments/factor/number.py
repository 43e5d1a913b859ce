"""How many factors there are: parallel analysis by permutation, and Velicer's minimum average partial."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hofsteer.instruments.base import Floats
from hofsteer.instruments.factor.correlation import Kind, pairwise_pearson
from hofsteer.instruments.factor.polychoric import Grid, ordinal, pair_tables, polychoric

Columns = NDArray[Any]  # (I, n), standardised answers or codes

DRAWS = 500
PERCENTILE = 95.0
PERMUTATIONS = 7302  # stream
THREADS = 2
MANY, SHIFTS = 10_000, 20  # from so many rows on, each permutation serves for so many draws
GRID_ANGLE, GRID_STEPS = 0.5, 20  # correlations of permuted answers are small; others are computed in full


@dataclass(frozen=True, eq=False)
class NumberOfFactors:
    """What the rules say; they need not agree."""

    eigenvalues: Floats  # (I,), of the correlations, falling
    reference: Floats  # (I,), percentile of the eigenvalues of permuted answers
    parallel: int  # leading eigenvalues above their reference; 0 = none
    map: int  # factors with the least average squared partial correlation; 0 = none
    partials: Floats  # (I - 1,), that average with 0, 1, ... components partialled out
    draws: int

    @property
    def agreed(self) -> int | None:
        """The number that both rules give; None if they differ or find none."""
        return self.parallel if self.parallel == self.map and self.parallel > 0 else None

    @property
    def span(self) -> tuple[int, int]:
        """The smallest and the largest number that a rule gives, at least 1."""
        low, high = sorted((self.parallel, self.map))
        return max(low, 1), max(high, 1)


def number_of_factors(
    matrix: Floats, answers: Floats, weights: Floats, kind: Kind, seed: int = 0, draws: int = DRAWS
) -> NumberOfFactors:
    """Return how many factors stand out of chance.

    Parallel analysis (Horn 1965) compares each eigenvalue of the correlations with the 95th percentile of those of
    answers permuted within each column (Buja & Eyuboglu 1992), which keeps every item's distribution and missing
    answers; the correlations of the permuted answers are of the same kind (Pearson ones pairwise).

    Args:
        matrix: correlations (I, I).
        answers: (n, I), NaN = missing; for a level other than pooled, what its correlations were made of.
        weights: (n,); they stay with the rows.
        kind: of the correlations.
        seed: of the permutations.
        draws: of permuted answers.
    """
    eigenvalues = np.asarray(np.linalg.eigvalsh(matrix)[::-1], dtype=np.float64)
    columns, correlate = _polychoric(answers, weights) if kind == "polychoric" else _pearson(answers, weights)

    block = SHIFTS if len(answers) >= MANY else 1

    def draw(index: int) -> list[Floats]:
        rng = np.random.default_rng([seed, index, PERMUTATIONS])
        count = min(block, draws - index * block)
        mixed = _permuted(columns, rng, count)
        return [np.asarray(np.linalg.eigvalsh(correlate(m))[::-1], dtype=np.float64) for m in mixed]

    with ThreadPoolExecutor(THREADS) as pool:
        drawn = np.stack([row for rows in pool.map(draw, range(-(-draws // block))) for row in rows])
    reference = np.asarray(np.percentile(drawn, PERCENTILE, axis=0), dtype=np.float64)
    above = eigenvalues > reference
    partials = average_partials(matrix)
    return NumberOfFactors(
        eigenvalues, reference, int(np.argmin(np.append(above, False))), int(partials.argmin()), partials, draws
    )


def average_partials(matrix: Floats) -> Floats:
    """Return the average squared partial correlation with 0, 1, ... components partialled out, (I - 1,).

    Its least value tells the number of factors (Velicer 1976, doi:10.1007/BF02293557). Where nothing is left of an item
    it is 1.
    """
    items = len(matrix)
    values, vectors = np.linalg.eigh(matrix)
    loadings = (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1]
    averages = np.ones(items - 1)
    for taken in range(items - 1):
        left = matrix - loadings[:, :taken] @ loadings[:, :taken].T
        rest = np.diag(left)
        if rest.min() > 1e-9:
            partial = left / np.sqrt(np.outer(rest, rest))
            averages[taken] = ((partial**2).sum() - items) / (items * (items - 1))
    return averages


def _permuted(columns: Columns, rng: np.random.Generator, count: int) -> Iterator[Columns]:
    """Give `count` versions of columns (I, n), each permuted independently of the others.

    A permutation costs more than the correlations of many respondents, so those after the first are the first one's
    columns, each moved round by a random number of rows: permutations that are as random, though not independent of the
    first. With many rows the correlations of two of them have nothing to do with each other.
    """
    first = rng.permuted(columns, axis=1)
    yield first
    n = columns.shape[1]
    for _ in range(count - 1):
        moved = np.empty_like(first)
        for row, source, by in zip(moved, first, rng.integers(n, size=len(first)).tolist(), strict=True):
            row[: n - by], row[n - by :] = source[by:], source[:by]
        yield moved


def _pearson(answers: Floats, weights: Floats) -> tuple[Columns, Callable[[Columns], Floats]]:
    """Return columns (I, n) to permute, and what correlates them once they are."""
    if np.isnan(answers).any() or np.ptp(weights) > 0:
        return np.ascontiguousarray(answers.T), lambda mixed: pairwise_pearson(mixed.T, weights)
    deviations = answers - answers.mean(axis=0)
    columns = np.ascontiguousarray((deviations / np.linalg.norm(deviations, axis=0)).T, dtype=np.float32)
    return columns, lambda mixed: np.asarray(mixed @ mixed.T, dtype=np.float64)


def _polychoric(answers: Floats, weights: Floats) -> tuple[Columns, Callable[[Columns], Floats]]:
    """Return the same for polychoric correlations.

    Permuting leaves thresholds as they are, so the probabilities of all tables are computed once, on a grid.
    """
    data = ordinal(answers, weights)
    items = answers.shape[1]
    first, second = np.triu_indices(items, 1)
    grid = Grid.over(data.thresholds[first], data.thresholds[second], GRID_ANGLE, GRID_STEPS)
    carried = None if np.ptp(weights) == 0 else weights

    def correlate(mixed: Columns) -> Floats:
        codes = mixed.T
        found, beyond = grid.best(pair_tables(codes, data.categories, carried))
        if beyond.any():
            return polychoric(np.where(codes < 0, np.nan, codes), weights)
        matrix = np.eye(items)
        matrix[first, second] = matrix[second, first] = found
        return matrix

    return np.ascontiguousarray(data.codes.T), correlate

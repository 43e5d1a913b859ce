"""How many factors there are: parallel analysis by permutation, and Velicer's minimum average partial."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hofsteer.instruments.base import Floats
from hofsteer.instruments.factor.correlation import Kind, pairwise_pearson
from hofsteer.instruments.factor.polychoric import Grid, ordinal, pair_tables, polychoric

DRAWS = 500
PERCENTILE = 95.0
PERMUTATIONS = 7302  # stream
THREADS = 2
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
    correlate = _permuted_polychoric(answers, weights) if kind == "polychoric" else _permuted_pearson(answers, weights)

    def draw(index: int) -> Floats:
        return np.asarray(np.linalg.eigvalsh(correlate(np.random.default_rng([seed, index, PERMUTATIONS])))[::-1])

    with ThreadPoolExecutor(THREADS) as pool:
        drawn = np.stack(list(pool.map(draw, range(draws))))
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


def _permuted_pearson(answers: Floats, weights: Floats) -> Callable[[np.random.Generator], Floats]:
    plain = not np.isnan(answers).any() and np.ptp(weights) == 0
    if not plain:
        return lambda rng: pairwise_pearson(rng.permuted(answers, axis=0), weights)
    deviations = answers - answers.mean(axis=0)
    columns = np.ascontiguousarray((deviations / np.linalg.norm(deviations, axis=0)).T, dtype=np.float32)

    def correlate(rng: np.random.Generator) -> Floats:
        mixed = rng.permuted(columns, axis=1)
        return np.asarray(mixed @ mixed.T, dtype=np.float64)

    return correlate


def _permuted_polychoric(answers: Floats, weights: Floats) -> Callable[[np.random.Generator], Floats]:
    """Permuting leaves thresholds as they are, so the probabilities of all tables are computed once, on a grid."""
    data = ordinal(answers, weights)
    items = answers.shape[1]
    first, second = np.triu_indices(items, 1)
    grid = Grid.over(data.thresholds[first], data.thresholds[second], GRID_ANGLE, GRID_STEPS)
    carried = None if np.ptp(weights) == 0 else weights

    def correlate(rng: np.random.Generator) -> Floats:
        mixed = rng.permuted(data.codes, axis=0)
        found, at_the_end = grid.best(pair_tables(mixed, data.categories, carried))
        if at_the_end.any():
            return polychoric(np.where(mixed < 0, np.nan, mixed), weights)
        matrix = np.eye(items)
        matrix[first, second] = matrix[second, first] = found
        return matrix

    return correlate

"""Polychoric correlations in two steps (Olsson 1979, doi:10.1007/BF02296207), all pairs of items at once.

Thresholds come from each item's own distribution; then the correlation of each pair maximises the likelihood of its
table. The bivariate normal distribution function is an integral over the correlation (Plackett's identity),

    F(a, b, r) = F(a) F(b) + 1 / (2 pi) * integral from 0 to asin r of exp(-(a^2 + b^2 - 2 a b sin t) / (2 cos^2 t)) dt,

so one pass outward from 0 gives it at every point of a grid of angles; Fisher scoring goes on from the best point.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hofsteer.instruments.base import Floats

Ints = NDArray[np.int16]

ANGLES = 51  # of the grid on each side of 0
WIDEST = 1.53  # asin of the largest correlation, 0.9992
SCORING_STEPS = 25
PRECISION = 1e-9
SMALLEST = 1e-12  # probability of a cell
PAIRS_AT_ONCE = 300  # whose grids stand in memory together
ROWS_AT_ONCE = 20_000  # whose categories stand in memory as indicators

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)
_FINE_NODES, _FINE_WEIGHTS = np.polynomial.legendre.leggauss(48)


@dataclass(frozen=True, eq=False)
class Ordinal:
    """Answers as categories, and where a normal variable would have to be cut to give them."""

    codes: Ints  # (n, I), rank of the answer among those of its item; -1 = missing
    categories: int  # K, most of any item
    thresholds: Floats  # (I, K + 1), -inf first; +inf from the item's last on


def ordinal(answers: Floats, weights: Floats) -> Ordinal:
    """Return answers (n, I), NaN = missing, as categories, with thresholds from weighted shares; weights (n,)."""
    from scipy.special import ndtri

    ranked = [np.unique(column[~np.isnan(column)]) for column in answers.T]
    most = max(len(values) for values in ranked)
    codes = np.full(answers.shape, -1, dtype=np.int16)
    thresholds = np.full((answers.shape[1], most + 1), np.inf)
    for i, values in enumerate(ranked):
        there = ~np.isnan(answers[:, i])
        codes[there, i] = np.searchsorted(values, answers[there, i])
        shares = np.bincount(codes[there, i], weights[there], minlength=len(values))
        thresholds[i, : len(values)] = ndtri(np.concatenate([[0.0], np.cumsum(shares)[:-1] / shares.sum()]))
    return Ordinal(codes, most, thresholds)


def pair_tables(codes: Ints, categories: int, weights: Floats | None = None) -> Floats:
    """Return the tables of all pairs of columns i < j, (pairs, K, K): sums of weights, or counts; pairwise complete."""
    n, items = codes.shape
    joint = np.zeros((items * categories, items * categories))
    for start in range(0, n, ROWS_AT_ONCE):
        part = codes[start : start + ROWS_AT_ONCE, :, None]
        chosen = (part == np.arange(categories, dtype=codes.dtype)).astype(np.float32).reshape(len(part), -1)
        carried = chosen if weights is None else chosen * weights[start : start + ROWS_AT_ONCE, None].astype(np.float32)
        joint += chosen.T @ carried
    joint = joint.reshape(items, categories, items, categories)
    first, second = np.triu_indices(items, 1)
    return np.asarray(joint[first, :, second, :])


def polychoric(answers: Floats, weights: Floats) -> Floats:
    """Return the polychoric correlations (I, I) of answers (n, I), NaN = missing (pairwise); weights (n,)."""
    data = ordinal(answers, weights)
    tables = pair_tables(data.codes, data.categories, weights)
    first, second = np.triu_indices(answers.shape[1], 1)
    found = np.empty(len(tables))
    for start in range(0, len(tables), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        a, b = data.thresholds[first[some]], data.thresholds[second[some]]
        grid = Grid.over(a, b, WIDEST, ANGLES)
        found[some] = _refine(a, b, tables[some], grid.best(tables[some])[0])
    return _square(found, answers.shape[1])


@dataclass(frozen=True, eq=False)
class Grid:
    """Log probabilities of the cells of each pair on a grid of angles, asin of the correlation."""

    angles: Floats  # (G,), rising
    log_cells: Floats  # (pairs, K * K, G)

    @classmethod
    def over(cls, a: Floats, b: Floats, widest: float, steps: int) -> "Grid":
        """Return the grid from -`widest` to `widest` for thresholds a, b (pairs, K + 1) with ends."""
        from scipy.special import ndtr

        pairs, cuts = a.shape
        side = np.linspace(0.0, widest, steps + 1)
        half = (side[1] - side[0]) / 2
        t = (side[:-1, None] + half * (1 + _NODES)).ravel()  # (steps * nodes,)
        start = (ndtr(a)[:, :, None] * ndtr(b)[:, None, :])[..., None]
        up, down = (
            start
            + sign * np.cumsum(_density(a, b, sign * t).reshape(pairs, cuts, cuts, steps, -1) @ _WEIGHTS * half, -1)
            for sign in (1, -1)
        )
        joint = np.concatenate([down[..., ::-1], start, up], axis=-1)
        cells = np.diff(np.diff(joint, axis=1), axis=2).reshape(pairs, -1, 2 * steps + 1)
        return cls(np.concatenate([-side[:0:-1], side]), np.log(np.maximum(cells, SMALLEST)))

    def best(self, tables: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the likeliest correlations (pairs,) for tables (pairs, K, K), and whether they lie beyond the grid.

        They are the tops of parabolas through the best three angles.
        """
        likelihood = np.matmul(tables.reshape(len(tables), 1, -1), self.log_cells)[:, 0]  # (pairs, G)
        top = np.clip(likelihood.argmax(axis=1), 1, len(self.angles) - 2)
        left, middle, right = (likelihood[np.arange(len(top)), top + d] for d in (-1, 0, 1))
        bend = left - 2 * middle + right
        shift = np.where(bend < 0, (left - right) / (2 * np.where(bend < 0, bend, -1.0)), 0.0)
        step = self.angles[1] - self.angles[0]
        return np.sin(self.angles[top] + np.clip(shift, -1, 1) * step), np.abs(shift) >= 1


def _density(a: Floats, b: Floats, angles: Floats) -> Floats:
    """Return the integrand at angles (T,), or (pairs, T), for all thresholds: (pairs, K + 1, K + 1, T)."""
    a, b = (np.where(np.isinf(x), np.sign(x) * 40.0, x) for x in (a, b))  # a density of 0 without inf - inf
    angles = np.broadcast_to(angles, (len(a), angles.shape[-1]))[:, None, None, :]
    a, b = a[:, :, None, None], b[:, None, :, None]
    squares = a**2 + b**2 - 2 * a * b * np.sin(angles)
    infinite = (np.abs(a) >= 40) | (np.abs(b) >= 40)
    return np.where(infinite, 0.0, np.exp(-squares / (2 * np.cos(angles) ** 2)) / (2 * np.pi))


def _refine(a: Floats, b: Floats, tables: Floats, start: Floats) -> Floats:
    """Return correlations (pairs,) by Fisher scoring on the angle from `start`."""
    from scipy.special import ndtr

    total = tables.sum(axis=(1, 2))
    angles = np.arcsin(start)
    independent = ndtr(a)[:, :, None] * ndtr(b)[:, None, :]
    for _ in range(SCORING_STEPS):
        nodes = angles[:, None] / 2 * (1 + _FINE_NODES)
        joint = independent + (_density(a, b, nodes) @ _FINE_WEIGHTS) * (angles / 2)[:, None, None]
        cells = np.maximum(np.diff(np.diff(joint, axis=1), axis=2), SMALLEST)
        slope = np.diff(np.diff(_density(a, b, angles[:, None])[..., 0], axis=1), axis=2)
        score = (tables * slope / cells).sum(axis=(1, 2))
        information = total * (slope**2 / cells).sum(axis=(1, 2))
        step = np.clip(score / np.maximum(information, SMALLEST), -0.1, 0.1)
        angles = np.clip(angles + step, -WIDEST, WIDEST)
        if np.abs(step).max() < PRECISION:
            break
    return np.asarray(np.sin(angles))


def _square(values: Floats, items: int) -> Floats:
    matrix = np.eye(items)
    matrix[np.triu_indices(items, 1)] = values
    return matrix + matrix.T - np.eye(items)

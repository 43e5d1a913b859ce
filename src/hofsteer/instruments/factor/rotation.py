"""Rotation of factors: varimax and direct oblimin with Kaiser's normalisation, from many starts; congruence."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hofsteer.instruments.base import Floats

Rotation = Literal["oblimin", "varimax"]

STARTS = 30  # random ones, beside the unrotated loadings
STEPS = 1000
PRECISION = 1e-6  # length of the projected gradient
ANGLE = 1e-9  # radians of the last planar rotations
SAME = 1e-6  # criteria that differ less have found the same rotation
STARTS_STREAM = 7301


@dataclass(frozen=True, eq=False)
class Rotated:
    """Rotated loadings, factors in the order of what they explain, each with a positive sum of loadings."""

    loadings: Floats  # (I, M), pattern coefficients
    correlations: Floats  # (M, M), of the factors
    starts: int  # tried
    best_starts: int  # that led to this rotation
    converged: bool = True


def rotate(loadings: Floats, rotation: Rotation, seed: int = 0) -> Rotated:
    """Return the rotation of loadings (I, M) with the least criterion over the starts.

    Each item's loadings are brought to length 1 first and back afterwards (Kaiser 1958). The criteria are varimax, and
    oblimin with gamma = 0 (Jennrich & Sampson 1966), minimised by gradient projection (Jennrich 2002,
    doi:10.1007/BF02294706). Starts are random orthogonal matrices, seeded.
    """
    factors = loadings.shape[1]
    if factors == 1:
        return _in_order(loadings, np.eye(1), starts=1, best=1, converged=True)
    length = np.maximum(np.sqrt((loadings**2).sum(axis=1, keepdims=True)), 1e-12)
    normalised = loadings / length
    rng = np.random.default_rng([seed, STARTS_STREAM])
    starts = [np.eye(factors), *(_random_orthogonal(rng, factors) for _ in range(STARTS))]
    turn = _oblimin if rotation == "oblimin" else _varimax
    results = [turn(normalised, start) for start in starts]
    criteria = np.array([criterion for criterion, _, _ in results])
    best = int(criteria.argmin())
    _, matrix, converged = results[best]
    turned = normalised @ np.linalg.inv(matrix).T
    same = int((criteria - criteria[best] < SAME * max(1.0, abs(criteria[best]))).sum())
    return _in_order(turned * length, matrix.T @ matrix, len(starts), same, converged)


def congruence(first: Floats, second: Floats) -> Floats:
    """Return Tucker's congruence of the columns of `first` (I, M) with those of `second` (I, N), (M, N)."""
    lengths = np.outer(np.linalg.norm(first, axis=0), np.linalg.norm(second, axis=0))
    return np.asarray(first.T @ second / lengths)


def matched_congruence(first: Floats, second: Floats) -> Floats:
    """Return, for each factor of `first`, the congruence with its partner in `second`, each partner taken once.

    Signs do not count: 0 to 1. A factor without partner gets NaN.
    """
    from scipy.optimize import linear_sum_assignment

    size = np.abs(congruence(first, second))
    rows, columns = linear_sum_assignment(-size)
    found = np.full(first.shape[1], np.nan)
    found[rows] = size[rows, columns]
    return found


def _in_order(loadings: Floats, correlations: Floats, starts: int, best: int, converged: bool) -> Rotated:
    explained = np.diag(correlations @ loadings.T @ loadings)
    order = np.argsort(-explained, kind="stable")
    signs = np.where(loadings[:, order].sum(axis=0) < 0, -1.0, 1.0)
    correlations = correlations[np.ix_(order, order)] * np.outer(signs, signs)
    return Rotated(loadings[:, order] * signs, correlations, starts, best, converged)


def _random_orthogonal(rng: np.random.Generator, size: int) -> Floats:
    matrix, upper = np.linalg.qr(rng.normal(size=(size, size)))
    return np.asarray(matrix * np.sign(np.diag(upper)))


def _oblimin(loadings: Floats, start: Floats) -> tuple[float, Floats, bool]:
    """Return the criterion, the matrix T with rotated loadings L inv(T)' and factor correlations T'T, and success."""
    others = 1 - np.eye(loadings.shape[1])

    def evaluate(matrix: Floats) -> tuple[float, Floats]:
        inverse = np.linalg.inv(matrix)
        turned = loadings @ inverse.T
        crossed = turned**2 @ others
        gradient = -((turned.T @ (turned * crossed)) @ inverse).T
        return float((turned**2 * crossed).sum() / 4), gradient

    matrix, step = start, 1.0
    value, gradient = evaluate(matrix)
    for _ in range(STEPS):
        projected = gradient - matrix * (matrix * gradient).sum(axis=0)
        size = float((projected**2).sum())
        if size < PRECISION**2:
            return value, matrix, True
        step *= 2
        while step > 1e-12:
            moved = matrix - step * projected
            moved = moved / np.linalg.norm(moved, axis=0)
            moved_value, moved_gradient = evaluate(moved)
            if moved_value <= value - step * size / 2:
                break
            step /= 2
        else:
            return value, matrix, size < 1e-10  # no way down: as good as arithmetic allows
        matrix, value, gradient = moved, moved_value, moved_gradient
    return value, matrix, False


def _varimax(loadings: Floats, start: Floats) -> tuple[float, Floats, bool]:
    """Return the negative criterion, the orthogonal matrix, and success: planar rotations of pairs (Kaiser 1958)."""
    items, factors = loadings.shape
    turned, matrix, converged = loadings @ start, start.copy(), False
    pairs = [(a, b) for a in range(factors) for b in range(a + 1, factors)]
    for _ in range(STEPS):
        largest = 0.0
        for a, b in pairs:
            u, v = turned[:, a] ** 2 - turned[:, b] ** 2, 2 * turned[:, a] * turned[:, b]
            up = 2 * (u @ v) - 2 * u.sum() * v.sum() / items
            along = u @ u - v @ v - (u.sum() ** 2 - v.sum() ** 2) / items
            angle = float(np.arctan2(up, along)) / 4
            largest = max(largest, abs(angle))
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            turned[:, [a, b]] = turned[:, [a, b]] @ turn
            matrix[:, [a, b]] = matrix[:, [a, b]] @ turn
        if converged := largest < ANGLE:
            break
    return -float((turned**2).var(axis=0).sum()), matrix, converged

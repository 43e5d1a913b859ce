"""The loss, and the reference rows that need no model: the mean country and the nearest other country.

A loss says little alone. Answering 3 everywhere scores 50 on every index (C = 50) and is 11.7 points from India, where
the scores of the United States are 26.5 away. Half of the 62 countries that the 2015 matrix holds in full have another
one of them within 8 points.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import TargetError
from hofsteer.targets.base import Target, complete_countries
from hofsteer.targets.coordinates import COORDINATES, all_coordinates
from hofsteer.targets.globe import SCALES, all_societies

Floats = NDArray[np.float64]


def index_loss(scores: Floats, target: Floats, weights: Floats | None = None) -> Floats:
    """Return the mean of |score - target| over the dimensions that the target has, in index points.

    Args:
        scores: (..., M), index points.
        target: (M,), index points; NaN where the target has no score, and that dimension is left out.
        weights: (M,), 0 or more; of the mean. By default all dimensions count alike.

    Returns:
        (...): at least 0. NaN where a score is missing on a dimension that the target has: a loss over fewer dimensions
        than its neighbours' would look better than it is.

    Raises:
        TargetError: the target has no score at all, or none with a weight, or other than M dimensions were scored.

    >>> index_loss(np.array([[50.0, 50.0], [77.0, np.nan]]), np.array([77.0, np.nan]))
    array([27.,  0.])
    """
    if target.ndim != 1 or scores.shape[-1:] != target.shape:
        raise TargetError(f"want scores (..., M) and a target (M,), got {scores.shape} and {target.shape}")
    available = ~np.isnan(target)
    if not available.any():
        raise TargetError(f"want a target with a score on at least one of {target.size} dimensions, got none")
    distances = np.abs(scores[..., available] - target[available])
    if weights is None:
        return np.asarray(distances.mean(axis=-1))
    if not (total := weights[available].sum()) > 0:
        raise TargetError("want a weight above 0 on at least one dimension that the target has, got none")
    return np.asarray((distances * weights[available]).sum(axis=-1) / total)


def mean_country(dimensions: Sequence[str], leaving_out: Target | None = None) -> Floats:
    """Return the mean scores (M,) over the countries with all of them, without the one left out; NaN if unknown.

    These are `complete_countries()`, or `all_coordinates()` for the dimensions of the map.
    """
    countries = countries_on(dimensions) if leaving_out is None else others(leaving_out, dimensions)
    return np.asarray(_table(countries, dimensions).mean(axis=0))


def measured_countries(dimensions: Sequence[str]) -> tuple[Target, ...]:
    """Return the countries whose scores on these dimensions are all published and none an estimate, sorted by code.

    >>> len(measured_countries(["PDI", "IDV", "MAS", "UAI", "LTO", "IVR"]))
    64
    """
    return tuple(
        country
        for country in countries_on(dimensions)
        if set(dimensions) <= set(country.scores) and not country.estimated & set(dimensions)
    )


def difference_loss(scores: Floats, targets: Floats) -> Floats:
    """Return how far differences between samples are from the published ones, (M,): constants cancel in it.

    The mean over all pairs of | (score_j - score_k) - (target_j - target_k) |, in index points.

    Args:
        scores: (N, M) of N samples asked alike, such as personas of two countries.
        targets: (N, M); NaN where there is no published score. A dimension that fewer than two have is NaN.

    Raises:
        TargetError: fewer than two samples, or as many targets.

    >>> difference_loss(np.array([[10.0, 0.0], [30.0, 0.0]]), np.array([[50.0, 5.0], [60.0, np.nan]]))
    array([10., nan])
    """
    if scores.shape != targets.shape or len(scores) < 2:
        raise TargetError(f"want scores and targets of two or more samples, got {scores.shape} and {targets.shape}")
    first, second = np.triu_indices(len(scores), k=1)
    errors = scores - targets
    apart = np.abs(errors[first] - errors[second])
    there = ~np.isnan(apart)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, apart, 0.0).sum(axis=0) / there.sum(axis=0))


def nearest(target: Target, dimensions: Sequence[str]) -> tuple[Target, float]:
    """Return the nearest other country with all scores of its table, and its `index_loss` to the target.

    Only the target's own dimensions count. Rows of the same code under another source are not other countries. Among
    equals the first by code is returned.

    Raises:
        TargetError: the target has no score on any of `dimensions`.
    """
    rows = others(target, dimensions)
    losses = index_loss(_table(rows, dimensions), target.vector(dimensions))
    best = int(losses.argmin())
    return rows[best], float(losses[best])


def countries_on(dimensions: Sequence[str]) -> tuple[Target, ...]:
    """Return the countries of the table that these dimensions belong to: indices, the map or the GLOBE scales."""
    if set(dimensions) & set(SCALES):
        return all_societies()
    return all_coordinates() if set(dimensions) & set(COORDINATES) else complete_countries()


def others(target: Target, dimensions: Sequence[str]) -> tuple[Target, ...]:
    """Return the rows beside which a target stands: other countries, or groups of its table with all that it has."""
    if target.kind == "group":
        full = tuple(row for row in target.beside if set(target.scores) <= set(row.scores))
        if not full:
            raise TargetError(f"{target.code}: want another group of its table with the same scores, got none")
        return full
    code = target.code.partition("@")[0]
    return tuple(country for country in countries_on(dimensions) if country.code.partition("@")[0] != code)


def _table(targets: Sequence[Target], dimensions: Sequence[str]) -> Floats:
    return np.stack([target.vector(dimensions) for target in targets])

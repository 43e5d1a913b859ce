"""Whether items hang together: sampling adequacy, sphericity, alpha, omega, determinacy, intraclass correlations."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hofsteer.instruments.base import Floats
from hofsteer.instruments.factor.extraction import extract

DETERMINATE = 0.8  # below, two sets of factor scores that fit equally well may differ much


@dataclass(frozen=True)
class Sphericity:
    """Bartlett's test that no two items correlate (1951)."""

    chi_square: float
    degrees_of_freedom: int
    p: float


def sampling_adequacy(matrix: Floats) -> tuple[float, Floats]:
    """Return the Kaiser-Meyer-Olkin measure of correlations (I, I), and that of each item (I,); 0 to 1."""
    inverse = np.linalg.inv(matrix)
    scale = np.sqrt(np.diag(inverse))
    partial = inverse / np.outer(scale, scale)
    off = 1 - np.eye(len(matrix))
    squares, partials = matrix**2 * off, partial**2 * off
    return (
        float(squares.sum() / (squares.sum() + partials.sum())),
        np.asarray(squares.sum(axis=0) / (squares.sum(axis=0) + partials.sum(axis=0))),
    )


def sphericity(matrix: Floats, n: float) -> Sphericity:
    """Return Bartlett's test for correlations (I, I) of `n` respondents."""
    from scipy.stats import chi2

    items = len(matrix)
    value = -(n - 1 - (2 * items + 5) / 6) * float(np.linalg.slogdet(matrix)[1])
    freedom = items * (items - 1) // 2
    return Sphericity(value, freedom, float(chi2.sf(value, freedom)))


def cronbach_alpha(covariance: Floats) -> float:
    """Return alpha of a sum of items with covariances (I, I) (Cronbach 1951); NaN for a single item."""
    items = len(covariance)
    if items < 2:
        return float("nan")
    return float(items / (items - 1) * (1 - np.trace(covariance) / covariance.sum()))


def mcdonald_omega(matrix: Floats) -> float:
    """Return omega of a sum of items with correlations (I, I); NaN for fewer than three items.

    It is the squared sum of the loadings on one minres factor, over that plus the uniquenesses (McDonald 1999).
    """
    if len(matrix) < 3:
        return float("nan")
    one = extract(matrix, 1, "minres")
    common = float(one.loadings.sum() ** 2)
    return common / (common + float(one.uniquenesses.sum()))


def determinacy(matrix: Floats, loadings: Floats, factor_correlations: Floats) -> Floats:
    """Return the multiple correlation of each factor with the items, (M,).

    Source: Grice (2001), doi:10.1037/1082-989X.6.4.430.
    """
    structure = loadings @ factor_correlations
    squared = (structure * np.linalg.solve(matrix, structure)).sum(axis=0)
    return np.asarray(np.sqrt(np.clip(squared, 0.0, 1.0)))


def intraclass(answers: Floats, groups: NDArray[np.intp], weights: Floats) -> tuple[Floats, Floats]:
    """Return ICC(1) and ICC(2) of each item (I,), from a one-way analysis of variance.

    ICC(1) is the share of variance that lies between groups, ICC(2) the reliability of group means (Bliese 2000);
    either may be below 0 by chance.

    Args:
        answers: (n, I), NaN = missing.
        groups: (n,), from 0.
        weights: (n,); in each group they are brought to a mean of 1, so that weighting adds no respondents.
    """
    size = groups.max() + 1
    scale = np.bincount(groups, minlength=size) / np.bincount(groups, weights, minlength=size)
    weight = weights * scale[groups]
    first, second = np.full(answers.shape[1], np.nan), np.full(answers.shape[1], np.nan)
    for i, column in enumerate(answers.T):
        there = ~np.isnan(column)
        x, g, w = column[there], groups[there], weight[there]
        n = np.bincount(g, w, minlength=size)
        n = n[n > 0]
        sums = np.bincount(g, w * x, minlength=size)[np.bincount(g, minlength=size) > 0]
        total = n.sum()
        between = (sums**2 / n).sum() - sums.sum() ** 2 / total
        within = (w * x**2).sum() - (sums**2 / n).sum()
        if len(n) < 2 or total <= len(n) or within <= 0:
            continue
        mean_between, mean_within = between / (len(n) - 1), within / (total - len(n))
        typical = (total - (n**2).sum() / total) / (len(n) - 1)
        first[i] = (mean_between - mean_within) / (mean_between + (typical - 1) * mean_within)
        second[i] = (mean_between - mean_within) / mean_between if mean_between > 0 else np.nan
    return first, second

"""Correlations of items: Pearson pairwise or by EM, polychoric, weighted; made positive definite where they are not."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hofsteer.instruments.base import Floats
from hofsteer.instruments.factor.polychoric import polychoric

Kind = Literal["pearson", "polychoric"]
Missing = Literal["em", "pairwise"]

MOST_CATEGORIES = 7  # of an item, for polychoric correlations by default
FEWEST_FOR_POLYCHORIC = 200  # respondents
EM_STEPS = 500
EM_PRECISION = 1e-6  # largest change of a correlation
LEAST_EIGENVALUE = 1e-6  # of a smoothed matrix


@dataclass(frozen=True, eq=False)
class Correlations:
    """Correlations of the items, and how they came about."""

    matrix: Floats  # (I, I), positive definite
    kind: Kind
    missing: Missing | None  # how missing answers were dealt with; None if there are none
    smoothed: float | None  # largest change of a correlation when it was made positive definite; None if it was
    converged: bool = True  # False: EM stopped at its last step


def kind_for(answers: Floats) -> Kind:
    """Return the kind of correlations for answers (n, I): polychoric for at most 7 categories and at least 200 rows."""
    if len(answers) < FEWEST_FOR_POLYCHORIC:
        return "pearson"
    few = all(len(np.unique(column[~np.isnan(column)])) <= MOST_CATEGORIES for column in answers.T)
    return "polychoric" if few else "pearson"


def correlations(answers: Floats, weights: Floats, kind: Kind, missing: Missing) -> Correlations:
    """Return the correlations of answers (n, I), NaN = missing, with weights (n,).

    Missing answers are taken as missing at random: Pearson correlations come from the maximum-likelihood normal
    distribution (EM; Dempster, Laird & Rubin 1977) or, with `pairwise`, from those who answered both items; polychoric
    ones always pairwise. Nobody is left out for one missing answer.
    """
    incomplete = bool(np.isnan(answers).any())
    converged = True
    if kind == "polychoric":
        matrix, how = polychoric(answers, weights), "pairwise" if incomplete else None
    elif incomplete and missing == "em":
        matrix, converged = _em(answers, weights)
        how = "em"
    else:
        matrix, how = pairwise_pearson(answers, weights), "pairwise" if incomplete else None
    smooth, change = smoothed(matrix)
    return Correlations(smooth, kind, how, change, converged)  # type: ignore[arg-type]  # mypy widens `how`


def pairwise_pearson(answers: Floats, weights: Floats) -> Floats:
    """Return Pearson correlations (I, I), each over those who answered both items; NaN where nobody did."""
    there = ~np.isnan(answers)
    middle = np.nansum(answers * weights[:, None], axis=0) / (there * weights[:, None]).sum(axis=0)
    values = np.where(there, answers - middle, 0.0)  # about the mean: less rounding
    if there.all():
        product = values.T @ (values * weights[:, None])
        deviation = np.sqrt(np.diag(product))
        matrix = product / np.outer(deviation, deviation)
    else:
        shown = there.astype(np.float64)
        weighted, mask = values * weights[:, None], shown * weights[:, None]
        total = shown.T @ mask
        sums = weighted.T @ shown  # of i over those who answered j
        squares = (weighted * values).T @ shown
        with np.errstate(invalid="ignore", divide="ignore"):
            covariance = weighted.T @ values - sums * sums.T / total
            variance = squares - sums**2 / total
            matrix = covariance / np.sqrt(variance * variance.T)
    np.fill_diagonal(matrix, 1.0)
    return np.asarray(np.clip(matrix, -1.0, 1.0))


def smoothed(matrix: Floats) -> tuple[Floats, float | None]:
    """Return a positive definite correlation matrix, and the largest change of a correlation; None if it was one.

    Eigenvalues below 1e-6 are raised to it, and the diagonal brought back to 1.
    """
    values, vectors = np.linalg.eigh(matrix)
    if values[0] >= LEAST_EIGENVALUE:
        return matrix, None
    raised = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    deviation = np.sqrt(np.diag(raised))
    smooth = raised / np.outer(deviation, deviation)
    return smooth, float(np.abs(smooth - matrix).max())


def _em(answers: Floats, weights: Floats) -> tuple[Floats, bool]:
    """Return the maximum-likelihood correlations of a normal distribution, and whether EM converged."""
    there = ~np.isnan(answers)
    patterns, which = np.unique(there, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(which.ravel(), minlength=len(patterns)))
    scale = np.nanstd(answers, axis=0)
    data, weight = (answers / scale)[order], weights[order] / weights.sum()
    mean = np.nanmean(data, axis=0)
    covariance = np.diag(np.nanvar(data, axis=0))
    before = np.eye(data.shape[1])
    for _ in range(EM_STEPS):
        filled, extra = data.copy(), np.zeros_like(covariance)
        for pattern, start, end in zip(patterns, np.concatenate([[0], ends[:-1]]), ends, strict=True):
            seen, lost = np.flatnonzero(pattern), np.flatnonzero(~pattern)
            if not len(lost):
                continue
            slope = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, lost)])
            filled[start:end, lost] = mean[lost] + (data[start:end, seen] - mean[seen]) @ slope
            rest = covariance[np.ix_(lost, lost)] - covariance[np.ix_(lost, seen)] @ slope
            extra[np.ix_(lost, lost)] += rest * weight[start:end].sum()
        mean = weight @ filled
        covariance = (filled - mean).T @ ((filled - mean) * weight[:, None]) + extra
        deviation = np.sqrt(np.diag(covariance))
        matrix = covariance / np.outer(deviation, deviation)
        if np.abs(matrix - before).max() < EM_PRECISION:
            return np.asarray(matrix), True
        before = matrix
    return np.asarray(before), False

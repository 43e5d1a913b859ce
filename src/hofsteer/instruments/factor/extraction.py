"""Extraction of factors: minimum residual, and principal components."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hofsteer.errors import InstrumentError
from hofsteer.instruments.base import Floats

Extraction = Literal["minres", "components"]

LEAST_UNIQUENESS = 0.005  # an item that would go below is a Heywood case
EXTRACTION_STEPS = 1000


@dataclass(frozen=True, eq=False)
class Extracted:
    """Unrotated loadings."""

    loadings: Floats  # (I, M)
    uniquenesses: Floats  # (I,)
    heywood: tuple[int, ...] = ()  # items whose uniqueness is at its lower bound
    converged: bool = True


def extract(matrix: Floats, factors: int, extraction: Extraction) -> Extracted:
    """Return `factors` factors of correlations (I, I), or the principal components.

    `minres` has the least squared residuals off the diagonal (Harman & Jones 1966, doi:10.1007/BF02289468), found over
    the uniquenesses with the loadings that are best for each (Joereskog 1977).

    Raises:
        InstrumentError: too many factors for the number of items.
    """
    items = len(matrix)
    most = items if extraction == "components" else most_factors(items)
    if not 1 <= factors <= most:
        raise InstrumentError(f"want 1 to {most} factors for {items} items, got {factors}")
    if extraction == "components":
        values, vectors = np.linalg.eigh(matrix)
        loadings = vectors[:, ::-1][:, :factors] * np.sqrt(values[::-1][:factors])
        return Extracted(loadings, 1 - (loadings**2).sum(axis=1))
    return _minres(matrix, factors)


def most_factors(items: int) -> int:
    """Return the most factors that leave no negative number of degrees of freedom, at least 1."""
    fitting = [m for m in range(1, items) if degrees_of_freedom(items, m) >= 0]
    return max(fitting, default=1)


def degrees_of_freedom(items: int, factors: int) -> int:
    """Return how many correlations there are beyond the free parameters of the factors."""
    return ((items - factors) ** 2 - (items + factors)) // 2


def _minres(matrix: Floats, factors: int) -> Extracted:
    from scipy.optimize import minimize

    start = np.clip(1 / np.diag(np.linalg.inv(matrix)), 0.05, 0.95)  # 1 - squared multiple correlation

    def residual(uniquenesses: Floats) -> tuple[float, Floats]:
        values, vectors = np.linalg.eigh(matrix - np.diag(uniquenesses))
        left = np.concatenate([values[:-factors], np.minimum(values[-factors:], 0.0)])
        return float((left**2).sum() / 2), -(vectors**2 @ left)

    found = minimize(
        residual,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(LEAST_UNIQUENESS, 1.0)] * len(matrix),
        options={"maxiter": EXTRACTION_STEPS, "ftol": 1e-14, "gtol": 1e-9},
    )
    values, vectors = np.linalg.eigh(matrix - np.diag(found.x))
    loadings = vectors[:, ::-1][:, :factors] * np.sqrt(np.maximum(values[::-1][:factors], 0.0))
    heywood = np.flatnonzero(found.x <= LEAST_UNIQUENESS * (1 + 1e-6))
    # a line search that can go no lower has found the minimum to machine precision
    converged = bool(found.success) or float(np.abs(_free(found.jac, found.x)).max()) < 1e-5
    return Extracted(loadings, np.asarray(found.x), tuple(heywood.tolist()), converged)


def _free(gradient: Floats, uniquenesses: Floats) -> Floats:
    """Return the gradient where it may be followed: not out of bounds."""
    out = ((uniquenesses <= LEAST_UNIQUENESS) & (gradient > 0)) | ((uniquenesses >= 1) & (gradient < 0))
    return np.where(out, 0.0, gradient)

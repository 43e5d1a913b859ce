"""CMA-ES in what a population spans: a search of few coordinates that looks further than small steps can.

The mean of the population is the origin, the principal axes of its rows around it are the coordinates. The rows with
the lowest losses are the first generation.
"""

from dataclasses import dataclass

import numpy as np

from hofsteer.search.base import Bounds, Floats
from hofsteer.search.cma import CMA, MAX_DIM, CMAState, clipped

FLAT = 1e-9  # share of the longest axis below which an axis is none


@dataclass(frozen=True)
class SpanCMA:
    """Settings; states are those of CMA-ES, in coordinates of the span."""

    population_size: int  # of each generation, at most the rows of the population
    seed: int

    def begin(self, population: Floats, losses: Floats) -> CMAState | None:
        """Return the state after a population (P, dim) and its losses (P,).

        None where the rows with the lowest losses are all equal: there is no spread to begin with. (If no row was
        answered, all are as good, and one that is answered has yet to be found.)
        """
        best = losses.argsort(kind="stable")[: self.population_size]
        if np.isfinite(losses[best[0]]) and (population[best] == population[best[0]]).all():
            return None
        center, axes = _span(population)
        begun = self._cma.init((population[best] - center) @ axes.T)
        return self._cma.tell(begun, begun.population, losses[best])

    def ask(self, state: CMAState, population: Floats, bounds: Bounds | None) -> Floats:
        """Return the candidates (population_size, dim) of the next generation."""
        center, axes = _span(population)
        return clipped(center + self._cma.ask(state) @ axes, bounds)

    def tell(self, state: CMAState, losses: Floats) -> CMAState:
        """Return the next state, after the losses of the candidates that it asked for."""
        return self._cma.tell(state, self._cma.ask(state), losses)

    @property
    def _cma(self) -> CMA:
        return CMA(self.population_size, self.seed)


def _span(population: Floats) -> tuple[Floats, Floats]:
    """Return the mean of a population, and orthonormal axes (n, dim) of what its rows span around it."""
    center = population.mean(axis=0)
    _, lengths, axes = np.linalg.svd(population - center, full_matrices=False)
    return center, axes[lengths > FLAT * lengths[0]][:MAX_DIM]

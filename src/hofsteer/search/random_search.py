"""Random search: every candidate is drawn anew around the initial population. What any search must beat.

A candidate is normal with the initial population's own mean, and with one deviation for all coordinates: the root of
the mean of their variances in the initial population. One, because a coordinate's own deviation among a few particles
is mostly noise, and because the coordinates of a soft prompt share their unit.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hofsteer.search.base import Bounds, Floats, Ints, SavedState, check_integers, check_told, own_start, register
from hofsteer.search.de import back_inside

DRAWS = 1  # random stream


@dataclass(frozen=True, eq=False)
class RandomState(SavedState):
    """The initial population, which says where to draw, and the best candidate so far."""

    kind: ClassVar[str] = "random search"
    population: Floats  # (population_size, dim), as it was at generation 0
    leader: Floats  # (dim,), the best candidate, the first of the population before there is one
    leader_loss: float = np.inf
    bounds: Bounds | None = None  # (dim,) each
    generation: int = 0

    @property
    def best(self) -> Floats:
        """A copy of the best candidate so far, (dim,); the first of the population while no loss is finite."""
        return self.leader.copy()

    @property
    def best_loss(self) -> float:
        """The lowest loss, +inf while no loss is finite."""
        return self.leader_loss

    @property
    def evaluations(self) -> int:
        """Every generation evaluates as many candidates as the initial population has."""
        return self.generation * len(self.population)


@register("random")
@dataclass(frozen=True)
class RandomSearch:
    """Settings of a random search. Raises ConfigError if one is out of range.

    >>> search = RandomSearch(population_size=50)
    >>> state = search.init(np.random.default_rng(1).normal(size=(50, 3)))
    >>> for _ in range(20):
    ...     candidates = search.ask(state)
    ...     state = search.tell(state, candidates, (candidates**2).sum(axis=1))
    >>> state.best_loss < 0.1
    True
    """

    population_size: int = 32  # at least 2, or there is no deviation
    seed: int = 0  # 0 or more

    def __post_init__(self) -> None:
        check_integers(self, population_size=2, seed=0)

    @property
    def state_type(self) -> type[RandomState]:
        """`RandomState`, which reads a saved state."""
        return RandomState

    def init(self, population: Floats, blocks: Ints | None = None, bounds: Bounds | None = None) -> RandomState:
        """Return the state at generation 0; arguments and errors as in `Optimizer.init`.

        `blocks` are checked and then forgotten: the coordinates are drawn independently.
        """
        population, _, bounds = own_start(population, blocks, bounds, self.population_size)
        return RandomState(population, leader=population[0].copy(), bounds=bounds)

    def ask(self, state: RandomState) -> Floats:
        """Return the candidates of this generation, (P, dim), inside the bounds; no loss changes what is asked.

        Generation 0 asks the initial population itself. A coordinate drawn outside the bounds goes midway between the
        bound and that coordinate of one initial candidate (`back_inside`).
        """
        first = state.population
        if state.generation == 0:
            return first.copy()
        rng = np.random.default_rng([self.seed, state.generation, DRAWS])
        deviation = np.sqrt(first.var(axis=0, ddof=1).mean())
        drawn = first.mean(axis=0) + deviation * rng.standard_normal(first.shape)
        return drawn if state.bounds is None else back_inside(drawn, first, state.bounds)

    def tell(self, state: RandomState, candidates: Floats, losses: Floats, errors: Floats | None = None) -> RandomState:
        """Return the next state, with the best candidate so far; arguments and errors as in `Optimizer.tell`."""
        candidates, losses = np.asarray(candidates, dtype=np.float64), np.asarray(losses, dtype=np.float64)
        check_told(state.population.shape, state.bounds, candidates, losses)
        state, winner = replace(state, generation=state.generation + 1), losses.argmin()
        if losses[winner] >= state.leader_loss:
            return state
        return replace(state, leader=candidates[winner].copy(), leader_loss=float(losses[winner]))

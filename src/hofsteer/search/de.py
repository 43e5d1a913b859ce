"""Differential Evolution with three mutations and two crossovers.

A trial is a parent some of whose coordinates come from a mutant, which is a base vector plus F times the difference
of two others. In the words of the literature NP is `population_size`, F `differential_weight`, CR `crossover_rate`.

Sources:
    rand/1 with binomial crossover, selection: Storn & Price 1997, doi:10.1023/A:1008202821328, section 2.
    best/1 and the notation x/y/z: Storn 1996, doi:10.1109/NAFIPS.1996.534789.
    current-to-best/1: scheme DE2 of Storn & Price 1995, TR-95-012 (ICSI, Berkeley), with its lambda set to F.
    The way back inside the bounds: Zhang & Sanderson 2009 (JADE), doi:10.1109/TEVC.2009.2014613.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import ConfigError, did_you_mean
from hofsteer.search.base import Bounds, Floats, Ints, SavedState, check_integers, check_told, own_start, register

Strategy = Literal["rand/1", "best/1", "current-to-best/1"]
Crossover = Literal["binomial", "token"]

DONORS, CROSSOVER = 1, 2  # random streams, one for each use


@dataclass(frozen=True, eq=False)
class DEState(SavedState):
    """The parents of the next generation, and what `init` was told of the space."""

    kind: ClassVar[str] = "DE state"
    population: Floats  # (population_size, dim)
    losses: Floats  # (population_size,), +inf = not evaluated yet or failed
    blocks: Ints | None = None  # (dim,)
    bounds: Bounds | None = None  # (dim,) each
    generation: int = 0

    @property
    def best(self) -> Floats:
        """A copy of the parent with the lowest loss, (dim,); the first of them on a tie, so also if all are +inf."""
        best: Floats = self.population[self.losses.argmin()].copy()
        return best

    @property
    def best_loss(self) -> float:
        """The lowest loss, +inf while no loss is finite."""
        return float(self.losses.min())

    @property
    def evaluations(self) -> int:
        """Every generation evaluates as many trials as there are parents."""
        return self.generation * len(self.population)


@register("de")
@dataclass(frozen=True)
class DifferentialEvolution:
    """Settings of Differential Evolution. Raises ConfigError if one is out of range.

    Selection happens at the end of a generation: all its trials are made from the parents as they were at its start,
    and only then does each trial replace its own parent, if it is no worse.

    >>> de = DifferentialEvolution(population_size=8, seed=1)
    >>> state = de.init(np.linspace(-1, 2, 16).reshape(8, 2))
    >>> for _ in range(60):
    ...     trials = de.ask(state)
    ...     state = de.tell(state, trials, (trials**2).sum(axis=1))
    >>> state.best_loss < 1e-6
    True
    """

    population_size: int = 32  # NP, at least 4: a target and three donors
    differential_weight: float = 0.5  # F, in (0, 2]
    crossover_rate: float = 0.9  # CR, in [0, 1]
    strategy: Strategy = "rand/1"
    crossover: Crossover = "binomial"  # by single coordinate, or by whole block (needs blocks)
    seed: int = 0  # 0 or more

    def __post_init__(self) -> None:
        check_integers(self, population_size=4, seed=0)
        if not 0 < self.differential_weight <= 2:
            raise ConfigError(f"differential_weight wants a number in (0, 2], got {self.differential_weight!r}")
        if not 0 <= self.crossover_rate <= 1:
            raise ConfigError(f"crossover_rate wants a number in [0, 1], got {self.crossover_rate!r}")
        for name, valid in (("strategy", get_args(Strategy)), ("crossover", get_args(Crossover))):
            choice = getattr(self, name)
            if choice not in valid:
                wanted = ", ".join(map(repr, valid))
                raise ConfigError(f"{name} wants one of {wanted}, got {choice!r}{did_you_mean(str(choice), valid)}")

    @property
    def state_type(self) -> type[DEState]:
        """`DEState`, which reads a saved state."""
        return DEState

    def init(self, population: Floats, blocks: Ints | None = None, bounds: Bounds | None = None) -> DEState:
        """Return the state at generation 0, with all losses +inf; arguments and errors as in `Optimizer.init`."""
        population, blocks, bounds = own_start(population, blocks, bounds, self.population_size)
        state = DEState(population, np.full(len(population), np.inf), blocks, bounds)
        self._units(state)  # refuses missing blocks now, not at the first crossover
        return state

    def ask(self, state: DEState) -> Floats:
        """Return the trials of this generation, (P, dim), inside the bounds; trial i belongs to parent i.

        Generation 0 asks the initial population itself, so that its losses are known. The same state gives the same
        trials.
        """
        parents = state.population
        if state.generation == 0:
            return parents.copy()
        trials = np.where(self._crosses(state), self._mutants(state), parents)
        return trials if state.bounds is None else back_inside(trials, parents, state.bounds)

    def tell(self, state: DEState, candidates: Floats, losses: Floats, errors: Floats | None = None) -> DEState:
        """Return the next state: each candidate has replaced its parent if its loss is no higher.

        Between two failures (+inf) the candidate stays too. Arguments and errors as in `Optimizer.tell`.
        """
        candidates, losses = np.asarray(candidates, dtype=np.float64), np.asarray(losses, dtype=np.float64)
        check_told(state.population.shape, state.bounds, candidates, losses)
        keep = losses <= state.losses
        return replace(
            state,
            population=np.where(keep[:, None], candidates, state.population),
            losses=np.where(keep, losses, state.losses),
            generation=state.generation + 1,
        )

    def _mutants(self, state: DEState) -> Floats:
        """Return one mutant for each parent, (P, dim), not yet held inside the bounds."""
        parents, best = state.population, state.best
        a, b, c = parents[self._donors(state).T]
        match self.strategy:
            case "rand/1":
                base = a
            case "best/1":
                base = best
            case "current-to-best/1":
                base = parents + self.differential_weight * (best - parents)
        return np.asarray(base + self.differential_weight * (b - c))

    def _donors(self, state: DEState) -> Ints:
        """Return three different parents for each target, (P, 3), never the target itself.

        All strategies draw the same three; only rand/1 uses the first of them.
        """
        size = len(state.population)
        order = self._rng(state, DONORS).random((size, size))
        np.fill_diagonal(order, np.inf)  # the target comes last
        return order.argsort(axis=1, kind="stable")[:, :3]

    def _crosses(self, state: DEState) -> NDArray[np.bool_]:
        """Return which coordinates come from the mutant, (P, dim): each unit with CR, and one unit always."""
        size, units = len(state.population), self._units(state)
        n_units = units.max() + 1
        rng = self._rng(state, CROSSOVER)
        crosses = rng.random((size, n_units)) < self.crossover_rate
        crosses[np.arange(size), rng.integers(n_units, size=size)] = True
        return crosses[:, units]

    def _units(self, state: DEState) -> NDArray[np.intp]:
        """Return the number, 0 and up, of the unit that each coordinate crosses with, (dim,)."""
        if self.crossover == "binomial":
            return np.arange(state.population.shape[1])
        if state.blocks is None:
            raise ConfigError("crossover 'token' wants a block id for every coordinate, got None; try 'binomial'")
        return np.unique(state.blocks, return_inverse=True)[1]

    def _rng(self, state: DEState, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, state.generation, stream])


def back_inside(trials: Floats, parents: Floats, bounds: Bounds) -> Floats:
    """Return `trials` with every coordinate that left the bounds set midway between that bound and its parent.

    The rule of JADE (Zhang & Sanderson 2009). Unlike cutting at the bound it does not pile candidates up on it.

    Args:
        trials: (P, dim).
        parents: (P, dim), inside the bounds, so that the result is too.
        bounds: lower and upper, (dim,) each, infinite where open.

    >>> back_inside(np.array([[-3.0, 0.5]]), np.array([[0.2, 0.4]]), (np.zeros(2), np.ones(2)))
    array([[0.1, 0.5]])
    """
    for bound, outside in ((bounds[0], trials < bounds[0]), (bounds[1], trials > bounds[1])):
        trials = np.where(outside, 0.5 * bound + 0.5 * parents, trials)  # two halves: the sum could overflow
    return trials

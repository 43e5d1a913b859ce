"""SHADE and L-SHADE: Differential Evolution that draws F and CR around values that won before.

Every trial has an F and a CR of its own, drawn around one of the H cells of a memory. A generation with winners
writes one cell: the mean of the winners' F and CR, weighted by how much each winner improved on its parent. A trial
is its parent moved towards one of the best parents (current-to-pbest/1) and crossed with it by single coordinates.
Parents that were beaten go to an archive, from which differences are drawn too. L-SHADE also shrinks the population.

Sources:
    SHADE: Tanabe & Fukunaga 2013, doi:10.1109/CEC.2013.6557555.
    L-SHADE: Tanabe & Fukunaga 2014, doi:10.1109/CEC.2014.6900380; equations (1) to (10) and Algorithm 1 are its.
    current-to-pbest/1, the archive and the bounds: Zhang & Sanderson 2009 (JADE), doi:10.1109/TEVC.2009.2014613.

The papers use H = 100 (2013) and 6 (2014), and populations of 100 and 18 times the dimension, for budgets of 10,000
evaluations a dimension. The defaults here are for a few thousand evaluations, in which 100 cells would not fill.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hofsteer.search.base import Bounds, Floats, Ints, SavedState, check_integers, check_told, own_start, register
from hofsteer.search.de import back_inside

PARAMETERS, DONORS, CROSSOVER, ARCHIVE = 1, 2, 3, 4  # random streams, one for each use
SPREAD = 0.1  # of F and CR around their cell of the memory: scale of the Cauchy, deviation of the normal distribution


@dataclass(frozen=True, eq=False)
class ShadeState(SavedState):
    """The parents of the next generation, those that were beaten, and what F and CR have won."""

    kind: ClassVar[str] = "SHADE state"
    population: Floats  # (n, dim); n shrinks in L-SHADE
    losses: Floats  # (n,), +inf = not evaluated yet or failed
    archive: Floats  # (any number, dim), beaten parents
    weight_memory: Floats  # M_F, (H,), in (0, 1]
    rate_memory: Floats  # M_CR, (H,), in [0, 1]; NaN = the terminal value of L-SHADE: CR is 0 from now on
    bounds: Bounds | None = None  # (dim,) each
    cell: int = 0  # k, the cell of the memory that is written next
    evaluations: int = 0
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


@dataclass(frozen=True)
class SuccessHistory(ABC):
    """What SHADE and L-SHADE have in common; `blocks` are of no use to either."""

    archive_ratio: ClassVar[float]  # the most beaten parents that are kept, as a multiple of the parents

    population_size: int = 32  # N, at least 4; of the first generation
    history_size: int = 6  # H, the number of cells of the memory, at least 1
    seed: int = 0  # 0 or more

    def __post_init__(self) -> None:
        check_integers(self, **self._least())

    def _least(self) -> dict[str, int]:
        """Return the lowest value of every setting."""
        return {"population_size": 4, "history_size": 1, "seed": 0}

    @abstractmethod
    def _top_counts(self, size: int, rng: np.random.Generator) -> Ints:
        """Return, for each of `size` parents, from how many of the best its pbest is drawn, (size,), 2 or more."""

    @abstractmethod
    def _new_rate(self, old: float, rates: Floats, shares: Floats) -> float:
        """Return the CR to remember in place of `old`, from the winners' CR (k,) and their shares (k,)."""

    @abstractmethod
    def _next_size(self, evaluations: int) -> int:
        """Return the number of parents after so many evaluations."""

    @property
    def state_type(self) -> type[ShadeState]:
        """`ShadeState`, which reads a saved state."""
        return ShadeState

    def init(self, population: Floats, blocks: Ints | None = None, bounds: Bounds | None = None) -> ShadeState:
        """Return the state at generation 0: losses +inf, memory 0.5; arguments and errors as in `Optimizer.init`."""
        population, _, bounds = own_start(population, blocks, bounds, self.population_size)
        memory = np.full(self.history_size, 0.5)
        return ShadeState(population, np.full(len(population), np.inf), population[:0], memory, memory.copy(), bounds)

    def ask(self, state: ShadeState) -> Floats:
        """Return the trials of this generation, (n, dim), inside the bounds; trial i belongs to parent i.

        Generation 0 asks the initial population itself, so that its losses are known. The same state gives the same
        trials. n is the number of parents, `population_size` or fewer.
        """
        parents = state.population
        if state.generation == 0:
            return parents.copy()
        size, dim = parents.shape
        weights, rates = self._parameters(state)
        pbest, first, second = self._donors(state)
        toward = parents[pbest] - parents
        apart = parents[first] - np.concatenate([parents, state.archive])[second]
        mutants = parents + weights[:, None] * toward + weights[:, None] * apart  # equation (3)
        rng = self._rng(state, CROSSOVER)
        crosses = rng.random((size, dim)) < rates[:, None]
        crosses[np.arange(size), rng.integers(dim, size=size)] = True  # equation (5)
        trials = np.where(crosses, mutants, parents)
        return trials if state.bounds is None else back_inside(trials, parents, state.bounds)

    def tell(self, state: ShadeState, candidates: Floats, losses: Floats, errors: Floats | None = None) -> ShadeState:
        """Return the next state: better or equal candidates have replaced their parents, better ones are learned from.

        Between two failures (+inf) the candidate stays too. Arguments and errors as in `Optimizer.tell`.
        """
        candidates, losses = np.asarray(candidates, dtype=np.float64), np.asarray(losses, dtype=np.float64)
        check_told(state.population.shape, state.bounds, candidates, losses)
        keep, won = losses <= state.losses, losses < state.losses
        told = replace(
            state,
            population=np.where(keep[:, None], candidates, state.population),
            losses=np.where(keep, losses, state.losses),
            evaluations=state.evaluations + len(losses),
            generation=state.generation + 1,
        )
        if state.generation == 0:  # nobody was beaten
            return told
        size = self._next_size(told.evaluations)
        stay = np.sort(told.losses.argsort(kind="stable")[:size])  # the worst leave, the others keep their order
        return replace(
            self._remember(state, told, won),
            population=told.population[stay],
            losses=told.losses[stay],
            archive=self._archived(state, won, round(self.archive_ratio * size)),
        )

    def _parameters(self, state: ShadeState) -> tuple[Floats, Floats]:
        """Return F and CR of each trial of this generation, (n,) each: equations (1) and (2)."""
        rng = self._rng(state, PARAMETERS)
        cells = rng.integers(len(state.rate_memory), size=len(state.population))
        rates = rng.normal(state.rate_memory[cells], SPREAD)
        rates = np.where(np.isnan(rates), 0.0, rates.clip(0.0, 1.0))
        center, weights = state.weight_memory[cells], np.zeros(len(cells))
        while (again := weights <= 0).any():
            weights[again] = center[again] + SPREAD * rng.standard_cauchy(again.sum())
        return weights.clip(max=1.0), rates

    def _donors(self, state: ShadeState) -> tuple[Ints, Ints, Ints]:
        """Return rows for each target, (n,) each: pbest, another parent, and a third of the parents and the archive.

        The last is a row of the parents with the archive below them. It and the second are neither equal nor the
        target; pbest may be any of the three.
        """
        rng, size = self._rng(state, DONORS), len(state.population)
        ranking, targets = state.losses.argsort(kind="stable"), np.arange(size)
        pbest = ranking[rng.integers(self._top_counts(size, rng))]
        first = rng.integers(size - 1, size=size)
        first += first >= targets
        second = rng.integers(size + len(state.archive) - 2, size=size)
        second += second >= np.minimum(first, targets)
        second += second >= np.maximum(first, targets)
        return pbest, first, second

    def _remember(self, state: ShadeState, told: ShadeState, won: NDArray[np.bool_]) -> ShadeState:
        """Return `told` with the next cell of the memory written, unless nobody won."""
        if not won.any():
            return told
        weights, rates = (drawn[won] for drawn in self._parameters(state))
        shares = improvement_shares(state.losses[won], told.losses[won])
        weight_memory, rate_memory = state.weight_memory.copy(), state.rate_memory.copy()
        weight_memory[state.cell] = lehmer_mean(weights, shares)
        rate_memory[state.cell] = self._new_rate(rate_memory[state.cell], rates, shares)
        cell = (state.cell + 1) % len(rate_memory)
        return replace(told, weight_memory=weight_memory, rate_memory=rate_memory, cell=cell)

    def _archived(self, state: ShadeState, won: NDArray[np.bool_], capacity: int) -> Floats:
        """Return the archive with the beaten parents; over `capacity` a random choice of older rows makes room."""
        archive: Floats = np.concatenate([state.archive, state.population[won]])
        rng, older = self._rng(state, ARCHIVE), len(state.archive)
        stay = np.concatenate([older + rng.permutation(len(archive) - older), rng.permutation(older)])[:capacity]
        kept: Floats = archive[np.sort(stay)]
        return kept

    def _rng(self, state: ShadeState, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, state.generation, stream])


@register("shade")
@dataclass(frozen=True)
class Shade(SuccessHistory):
    """Settings of SHADE (2013). Raises ConfigError if one is out of range.

    The share of the best that pbest is drawn from is random, from two parents up to a fifth of them, the archive is
    as large as the population, and the CR to remember is the weighted arithmetic mean.

    >>> shade = Shade(population_size=12, seed=1)
    >>> state = shade.init(np.linspace(-1, 2, 24).reshape(12, 2))
    >>> for _ in range(60):
    ...     trials = shade.ask(state)
    ...     state = shade.tell(state, trials, (trials**2).sum(axis=1))
    >>> state.best_loss < 1e-6
    True
    """

    archive_ratio: ClassVar[float] = 1.0

    def _top_counts(self, size: int, rng: np.random.Generator) -> Ints:
        least = 2 / size
        shares = rng.uniform(least, max(least, 0.2), size)
        return np.rint(size * shares).astype(np.int64)

    def _new_rate(self, old: float, rates: Floats, shares: Floats) -> float:
        return float((shares * rates).sum())

    def _next_size(self, evaluations: int) -> int:
        return self.population_size


@register("lshade")
@dataclass(frozen=True)
class LShade(SuccessHistory):
    """Settings of L-SHADE (2014). Raises ConfigError if one is out of range.

    After each generation the worst parents leave, so that their number falls on a line from `population_size` at no
    evaluation to 4 at `budget`; past the budget it stays 4. The share of the best that pbest is drawn from is 0.11,
    the archive is 2.6 times as large as the population, and the CR to remember is the weighted Lehmer mean. If no
    winner had a CR above 0, the cell holds the terminal value for good: trials drawn from it change one coordinate.

    >>> lshade = LShade(population_size=12, budget=400)
    >>> state = lshade.init(np.linspace(-1, 2, 24).reshape(12, 2))
    >>> while state.evaluations < 400:
    ...     trials = lshade.ask(state)
    ...     state = lshade.tell(state, trials, (trials**2).sum(axis=1))
    >>> len(state.population), state.best_loss < 1e-6
    (4, True)
    """

    archive_ratio: ClassVar[float] = 2.6  # r^arc
    best_share: ClassVar[float] = 0.11  # p
    final_size: ClassVar[int] = 4  # N_min, the fewest that current-to-pbest/1 can do with

    budget: int = 2000  # evaluations of the whole search, the starting population included; at least population_size

    def _least(self) -> dict[str, int]:
        return {**super()._least(), "budget": self.population_size}

    def _top_counts(self, size: int, rng: np.random.Generator) -> Ints:
        return np.full(size, max(2, round(self.best_share * size)))

    def _new_rate(self, old: float, rates: Floats, shares: Floats) -> float:
        """Return the weighted Lehmer mean or the terminal value, as in Algorithm 1."""
        ended = np.isnan(old) or not (shares * rates).any()
        return np.nan if ended else lehmer_mean(rates, shares)

    def _next_size(self, evaluations: int) -> int:
        """Return the number of equation (10), but no fewer than 4."""
        slope = (self.final_size - self.population_size) / self.budget
        return max(self.final_size, round(self.population_size + slope * evaluations))


def improvement_shares(before: Floats, after: Floats) -> Floats:
    """Return each winner's share of the sum of all improvements, (k,): equations (8) and (9).

    Args:
        before: (k,), the parents' losses; +inf for a parent that failed.
        after: (k,), the winners' losses, each lower than its parent's. k is 1 or more.

    An infinite improvement outweighs all finite ones, as the limit does; if there are several they share equally.

    >>> improvement_shares(np.array([4.0, 9.0]), np.array([3.0, 6.0]))
    array([0.25, 0.75])
    >>> improvement_shares(np.array([4.0, np.inf, np.inf]), np.array([3.0, 6.0, 7.0]))
    array([0. , 0.5, 0.5])
    """
    with np.errstate(over="ignore"):  # two finite losses too far apart: infinite as well
        gains = before - after
    largest = gains.max()
    gains = gains / largest if np.isfinite(largest) else np.isinf(gains).astype(np.float64)  # so the sum is finite
    return np.asarray(gains / gains.sum())


def lehmer_mean(values: Floats, shares: Floats) -> float:
    """Return the weighted Lehmer mean of `values` (k,) with `shares` (k,), not all zero at once: equation (7).

    >>> lehmer_mean(np.array([0.25, 0.5]), np.array([0.5, 0.5]))  # (0.03125 + 0.125) / (0.125 + 0.25)
    0.4166666666666667
    """
    return float((shares * values**2).sum() / (shares * values).sum())

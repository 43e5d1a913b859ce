"""Particle swarm: every particle flies on, and is pulled to the best point of its own and the best of its neighbours.

With x a particle, v its velocity, p its own best point, g the best point of its neighbours and r, s fresh uniform
numbers in [0, 1) for every coordinate,

    v <- inertia * v + cognitive * r * (p - x) + social * s * (g - x),    x <- x + v.

The defaults are the constriction coefficients in this form: 0.7298 (v + 2.05 r (p - x) + 2.05 s (g - x)). All
particles move before any is evaluated.

Sources:
    Particles, own best and shared best, velocity limit: Kennedy & Eberhart 1995, doi:10.1109/ICNN.1995.488968.
    Inertia: Shi & Eberhart 1998, doi:10.1109/ICEC.1998.699146.
    Constriction 0.7298 with 2.05 + 2.05: Clerc & Kennedy 2002, doi:10.1109/4235.985692; that a limit of the velocity
        helps nevertheless: Eberhart & Shi 2000, doi:10.1109/CEC.2000.870279.
    The ring of a particle and its two neighbours: Bratton & Kennedy 2007, doi:10.1109/SIS.2007.368035.
    Velocities that start at zero: Engelbrecht 2012, doi:10.1109/CEC.2012.6256112.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import ConfigError, did_you_mean
from hofsteer.search.base import Bounds, Floats, Ints, SavedState, check_integers, check_told, own_start, register
from hofsteer.search.de import back_inside

Topology = Literal["global", "ring"]

OWN, SHARED = 1, 2  # random streams, one for each pull


@dataclass(frozen=True, eq=False)
class PSOState(SavedState):
    """Where the particles are, how they move and what they remember. Row i of every array belongs to particle i."""

    kind: ClassVar[str] = "PSO state"
    population: Floats  # (population_size, dim), where the particles are
    velocities: Floats  # (population_size, dim), how they came there
    own_best: Floats  # (population_size, dim), the best points they have seen
    own_losses: Floats  # (population_size,), the losses there, +inf = not evaluated yet or all failed
    spread: Floats  # (dim,), the standard deviation of the initial population
    bounds: Bounds | None = None  # (dim,) each
    generation: int = 0

    @property
    def best(self) -> Floats:
        """A copy of the best point that any particle has seen, (dim,); that of the first particle on a tie."""
        best: Floats = self.own_best[self.own_losses.argmin()].copy()
        return best

    @property
    def best_loss(self) -> float:
        """The lowest loss, +inf while no loss is finite."""
        return float(self.own_losses.min())

    @property
    def evaluations(self) -> int:
        """Every generation evaluates all particles."""
        return self.generation * len(self.population)


@register("pso")
@dataclass(frozen=True)
class ParticleSwarm:
    """Settings of a particle swarm. Raises ConfigError if one is out of range.

    There are usually no bounds to measure a velocity by, so its limit in each coordinate is in units of the standard
    deviation of the initial population there; its default is ours, from no source. In a coordinate in which all initial
    particles agree, none ever moves.

    >>> pso = ParticleSwarm(population_size=8, seed=1)
    >>> state = pso.init(np.random.default_rng(1).normal(size=(8, 2)))
    >>> for _ in range(60):
    ...     particles = pso.ask(state)
    ...     state = pso.tell(state, particles, (particles**2).sum(axis=1))
    >>> state.best_loss < 1e-6
    True
    """

    population_size: int = 32  # at least 2
    inertia: float = 0.7298  # w, in [0, 1)
    cognitive: float = 1.49618  # c1, 0 or more: the pull to a particle's own best point
    social: float = 1.49618  # c2, 0 or more: the pull to the best point of its neighbours
    velocity_limit: float = 0.5  # above 0: the most a coordinate may change in a step, in initial deviations
    topology: Topology = "global"  # neighbours: everyone, or on a ring the particle itself and one on each side
    seed: int = 0  # 0 or more

    def __post_init__(self) -> None:
        check_integers(self, population_size=2, seed=0)
        if not 0 <= self.inertia < 1:
            raise ConfigError(f"inertia wants a number in [0, 1), got {self.inertia!r}")
        for name in ("cognitive", "social"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"{name} wants a finite number of at least 0, got {getattr(self, name)!r}")
        if not 0 < self.velocity_limit < np.inf:
            raise ConfigError(f"velocity_limit wants a finite number above 0, got {self.velocity_limit!r}")
        if self.topology not in (valid := get_args(Topology)):
            wanted, hint = ", ".join(map(repr, valid)), did_you_mean(str(self.topology), valid)
            raise ConfigError(f"topology wants one of {wanted}, got {self.topology!r}{hint}")

    @property
    def state_type(self) -> type[PSOState]:
        """`PSOState`, which reads a saved state."""
        return PSOState

    def init(self, population: Floats, blocks: Ints | None = None, bounds: Bounds | None = None) -> PSOState:
        """Return the state at generation 0, all at rest with losses +inf; arguments and errors as in `Optimizer.init`.

        `blocks` are checked and then forgotten: a swarm moves every coordinate by itself.
        """
        population, _, bounds = own_start(population, blocks, bounds, self.population_size)
        return PSOState(
            population=population,
            velocities=np.zeros_like(population),
            own_best=population.copy(),
            own_losses=np.full(len(population), np.inf),
            spread=population.std(axis=0, ddof=1),
            bounds=bounds,
        )

    def ask(self, state: PSOState) -> Floats:
        """Return where the particles are in this generation, (P, dim), inside the bounds.

        Generation 0 asks the initial population itself. A coordinate that would leave the bounds goes midway between
        the bound and where it was (`back_inside`).
        """
        here = state.population
        if state.generation == 0:
            return here.copy()
        own_pull = self.cognitive * self._uniform(state, OWN) * (state.own_best - here)
        shared_pull = self.social * self._uniform(state, SHARED) * (state.own_best[self._leaders(state)] - here)
        limit = self.velocity_limit * state.spread
        there = here + np.clip(self.inertia * state.velocities + own_pull + shared_pull, -limit, limit)
        return there if state.bounds is None else back_inside(there, here, state.bounds)

    def tell(self, state: PSOState, candidates: Floats, losses: Floats, errors: Floats | None = None) -> PSOState:
        """Return the next state: the velocity is the way just flown, and a point that is no worse is the new own best.

        So after two failures (+inf) the later point is remembered. Arguments and errors as in `Optimizer.tell`.
        """
        candidates, losses = np.array(candidates, dtype=np.float64), np.asarray(losses, dtype=np.float64)
        check_told(state.population.shape, state.bounds, candidates, losses)
        better = losses <= state.own_losses
        return replace(
            state,
            population=candidates,
            velocities=candidates - state.population,
            own_best=np.where(better[:, None], candidates, state.own_best),
            own_losses=np.where(better, losses, state.own_losses),
            generation=state.generation + 1,
        )

    def _leaders(self, state: PSOState) -> NDArray[np.intp]:
        """Return the best neighbour of each particle, (P,), the first on a tie."""
        everyone = np.arange(len(state.own_losses))
        if self.topology == "global":
            return np.full_like(everyone, state.own_losses.argmin())
        neighbours = (everyone[:, None] + [-1, 0, 1]) % len(everyone)
        leaders: NDArray[np.intp] = neighbours[everyone, state.own_losses[neighbours].argmin(axis=1)]
        return leaders

    def _uniform(self, state: PSOState, stream: int) -> Floats:
        """Return numbers in [0, 1), (P, dim)."""
        return np.random.default_rng([self.seed, state.generation, stream]).random(state.population.shape)

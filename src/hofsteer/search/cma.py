"""CMA-ES, evolution strategies that sample a normal distribution and adapt it: what they share, and the full matrix.

The candidates of a generation are drawn from N(m, sigma^2 C). Their ranks, not the losses themselves, move the mean m,
the step size sigma and the covariance C. C is kept as C = B D^2 B': B are the `axes`, D the `lengths` along them.

Sources:
    The algorithm: Hansen 2016, The CMA Evolution Strategy: A Tutorial, arXiv:1604.00772, equations 41 to 47.
    Weights, also negative ones ("active"), and learning rates: the same, table 1 (equations 48 to 58).
    Where the tutorial leaves room: the package `cmaes` of CyberAgent, with which the tests compare every number. In one
    exponent it differs from the tutorial, and we with it: h_sigma counts the first generation as the second.

Ours: a search starts from a population, not from a mean and a step size. The mean of the population is m, the root of
the mean variance (over P, not P - 1) of its coordinates is sigma, C is the identity, and the population counts as drawn
from that. An update that would leave the range of float64 is not made. No axis gets shorter than 1e-7 of the longest.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hofsteer.errors import ConfigError
from hofsteer.search.base import Bounds, Floats, Ints, SavedState, check_integers, check_told, own_start, register

CANDIDATES = 1  # the one random stream
RESAMPLES = 10  # how often what is outside the bounds is drawn again, before it is cut at them
MAX_CONDITION = 1e14  # of C; the tutorial would stop the search there (appendix B.3)
SMALLEST, LARGEST = 1e-100, 1e100  # of sigma and D; and the largest of m and the paths: their squares stay finite
MAX_DIM = 1000  # of a full matrix: its axes are found in every generation, in time dim^3


@dataclass(frozen=True, eq=False)
class CMAState(SavedState):
    """The distribution that the next generation is drawn from, the best so far, and what `init` was told."""

    kind: ClassVar[str] = "CMA state"
    population: Floats  # (P, dim), the initial one, asked at generation 0
    mean: Floats  # m, (dim,)
    sigma: float  # the step size
    lengths: Floats  # D, (dim,), above 0: along the axes, or along the coordinates if `axes` is None
    path_sigma: Floats  # p_sigma, (dim,), the evolution path of the step size
    path_c: Floats  # p_c, (dim,), the evolution path of the covariance
    best_told: Floats  # (dim,)
    best_loss: float = np.inf
    axes: Floats | None = None  # B, (dim, dim), one axis a column; None if C is diagonal
    bounds: Bounds | None = None  # (dim,) each
    generation: int = 0

    @property
    def best(self) -> Floats:
        """A copy of the best candidate ever told, (dim,); the first of the population while no loss is finite."""
        return self.best_told.copy()

    @property
    def evaluations(self) -> int:
        """Every generation has as many candidates as the first."""
        return self.generation * len(self.population)


@dataclass(frozen=True, eq=False)
class Rates:
    """Weights and learning rates for one population size and dimension, with the names of the tutorial."""

    weights: Floats  # w, (P,), of the candidates from best to worst; the first mu sum to 1, no other is above 0
    mu: int  # how many candidates the mean moves to
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float


def damping(c_sigma: float, mu_eff: float, dim: int) -> float:
    """Return d_sigma, which is the same for both matrices."""
    return 1 + 2 * max(0.0, float(np.sqrt((mu_eff - 1) / (dim + 1))) - 1) + c_sigma


def held_lengths(variances: Floats) -> Floats:
    """Return the roots of the variances along the axes, none too short for the longest."""
    return np.asarray(np.sqrt(np.maximum(variances, variances.max() / MAX_CONDITION)))


@dataclass(frozen=True)
class EvolutionStrategy(ABC):
    """What full and separable CMA-ES share; they differ in learning rates and in what they keep of C."""

    population_size: int  # lambda, at least 4
    seed: int  # 0 or more

    def __post_init__(self) -> None:
        check_integers(self, population_size=4, seed=0)

    @abstractmethod
    def _first_axes(self, dim: int) -> Floats | None:
        """Return B at the start, None to keep C diagonal."""

    @abstractmethod
    def _rates(self, dim: int) -> Rates:
        """Return weights and learning rates in so many dimensions."""

    @abstractmethod
    def _shape(
        self, state: CMAState, rates: Rates, kept: float, path_c: Floats, steps: Floats
    ) -> tuple[Floats, Floats | None]:
        """Return the next D and B: `kept` times C, and what path and steps (P, dim; best first) add (eq. 47)."""

    @property
    def state_type(self) -> type[CMAState]:
        """`CMAState`, which reads a saved state."""
        return CMAState

    def init(self, population: Floats, blocks: Ints | None = None, bounds: Bounds | None = None) -> CMAState:
        """Return the state at generation 0; arguments and errors as in `Optimizer.init`. Blocks make no difference.

        Raises:
            ValueError: also if all rows of the population are equal, or too far apart for float64.
        """
        population, _, bounds = own_start(population, blocks, bounds, self.population_size)
        dim = population.shape[1]
        with np.errstate(all="ignore"):
            state = CMAState(
                population=population,
                mean=clipped(population.mean(axis=0), bounds),
                sigma=float(np.sqrt((population - population[0]).var(axis=0).mean())),  # exactly 0 for equal rows
                lengths=np.ones(dim),
                path_sigma=np.zeros(dim),
                path_c=np.zeros(dim),
                best_told=population[0].copy(),
                axes=self._first_axes(dim),
                bounds=bounds,
            )
        if not in_range(state):
            raise ValueError(f"want a population whose spread is between {SMALLEST} and {LARGEST}, got {state.sigma}")
        return state

    def ask(self, state: CMAState) -> Floats:
        """Return the candidates of this generation, (P, dim), inside the bounds.

        Generation 0 asks the initial population itself. The same state gives the same candidates. What falls outside
        the bounds is drawn again a few times, single coordinates if C is diagonal, else the whole candidate; what is
        outside even then is cut at the bounds.
        """
        if state.generation == 0:
            return state.population.copy()
        rng = np.random.default_rng([self.seed, state.generation, CANDIDATES])
        normal = rng.standard_normal(state.population.shape)  # z
        candidates = spread(state, normal)
        if state.bounds is None:
            return candidates
        lower, upper = state.bounds
        for _ in range(RESAMPLES):
            outside = (candidates < lower) | (candidates > upper)
            if not outside.any():
                return candidates
            if state.axes is not None:
                outside |= outside.any(axis=1, keepdims=True)
            normal[outside] = rng.standard_normal(outside.sum())
            candidates = spread(state, normal)
        return clipped(candidates, state.bounds)

    def tell(self, state: CMAState, candidates: Floats, losses: Floats, errors: Floats | None = None) -> CMAState:
        """Return the next state: the distribution moved towards the better candidates.

        Failures (+inf) rank last, equal losses in the order they came. If all failed, nothing is learned and only the
        generation counts. Arguments and errors as in `Optimizer.tell`.
        """
        candidates, losses = np.asarray(candidates, dtype=np.float64), np.asarray(losses, dtype=np.float64)
        check_told(state.population.shape, state.bounds, candidates, losses)
        told = replace(state, generation=state.generation + 1)
        if np.isposinf(losses).all():
            return told
        first = losses.argmin()
        if losses[first] < state.best_loss:
            told = replace(told, best_told=candidates[first].copy(), best_loss=float(losses[first]))
        with np.errstate(all="ignore"):
            moved = self._moved(told, candidates[losses.argsort(kind="stable")])
        return moved if in_range(moved) else told

    def _moved(self, state: CMAState, ranked: Floats) -> CMAState:
        """Return `state` with the distribution updated by the candidates (P, dim), best first; maybe not finite."""
        dim = len(state.mean)
        rates = self._rates(dim)
        steps = (ranked - state.mean) / state.sigma  # y
        step = rates.weights[: rates.mu] @ steps[: rates.mu]  # <y>_w, eq. 41
        mean = clipped(state.mean + state.sigma * step, state.bounds)  # eq. 42; rounding must not carry it outside

        white = from_axes(state, to_axes(state, step) / state.lengths)  # C^(-1/2) <y>_w
        pull = np.sqrt(rates.c_sigma * (2 - rates.c_sigma) * rates.mu_eff)
        path_sigma = (1 - rates.c_sigma) * state.path_sigma + pull * white  # eq. 43
        expected = np.sqrt(dim) * (1 - 1 / (4 * dim) + 1 / (21 * dim**2))  # of the length of N(0, I), nearly
        length = np.linalg.norm(path_sigma)
        sigma = state.sigma * np.exp(rates.c_sigma / rates.d_sigma * (length / expected - 1))  # eq. 44

        warm = np.sqrt(1 - (1 - rates.c_sigma) ** (2 * (state.generation + 1)))  # the path starts from 0
        h_sigma = float(length / warm < (1.4 + 2 / (dim + 1)) * expected)  # 0 while sigma grows fast
        pull = h_sigma * np.sqrt(rates.c_c * (2 - rates.c_c) * rates.mu_eff)
        path_c = (1 - rates.c_c) * state.path_c + pull * step  # eq. 45

        lost = (1 - h_sigma) * rates.c_c * (2 - rates.c_c)
        kept = 1 + rates.c_1 * lost - rates.c_1 - rates.c_mu * rates.weights.sum()
        lengths, axes = self._shape(state, rates, float(kept), path_c, steps)
        return replace(
            state, mean=mean, sigma=float(sigma), lengths=lengths, axes=axes, path_sigma=path_sigma, path_c=path_c
        )


@register("cma")
@dataclass(frozen=True)
class CMA(EvolutionStrategy):
    """Settings of CMA-ES with a full covariance matrix, for at most 1000 dimensions. Raises ConfigError beyond.

    >>> cma = CMA(population_size=8, seed=1)
    >>> state = cma.init(np.linspace(-1, 2, 16).reshape(8, 2))
    >>> for _ in range(60):
    ...     candidates = cma.ask(state)
    ...     state = cma.tell(state, candidates, (candidates**2).sum(axis=1))
    >>> state.best_loss < 1e-6
    True
    """

    population_size: int = 20  # lambda, at least 4; 4 + 3 ln(dim) in 200 dimensions (eq. 48)
    seed: int = 0

    def _first_axes(self, dim: int) -> Floats:
        if dim > MAX_DIM:
            raise ConfigError(f"'cma' wants at most {MAX_DIM} dimensions, got {dim}; try 'sep-cma', or a subspace")
        return np.eye(dim)

    def _rates(self, dim: int) -> Rates:
        mu = self.population_size // 2
        raw = np.log((self.population_size + 1) / 2) - np.log(np.arange(1, self.population_size + 1))  # eq. 49
        mu_eff = float(raw[:mu].sum() ** 2 / (raw[:mu] ** 2).sum())
        mu_eff_minus = raw[mu:].sum() ** 2 / (raw[mu:] ** 2).sum()
        c_sigma = (mu_eff + 2) / (dim + mu_eff + 5)
        c_1 = 2 / ((dim + 1.3) ** 2 + mu_eff)
        c_mu = min(1 - c_1, 2 * (mu_eff - 2 + 1 / mu_eff) / ((dim + 2) ** 2 + mu_eff))
        negative = min(  # how much the negative weights sum to, so that C stays positive definite
            1 + c_1 / c_mu,  # eq. 50
            1 + 2 * mu_eff_minus / (mu_eff + 2),  # eq. 51
            (1 - c_1 - c_mu) / (dim * c_mu),  # eq. 52
        )
        return Rates(
            weights=raw * np.where(raw > 0, 1 / raw[raw > 0].sum(), -negative / raw[raw < 0].sum()),  # eq. 53
            mu=mu,
            mu_eff=mu_eff,
            c_sigma=c_sigma,
            d_sigma=damping(c_sigma, mu_eff, dim),
            c_c=(4 + mu_eff / dim) / (dim + 4 + 2 * mu_eff / dim),
            c_1=c_1,
            c_mu=c_mu,
        )

    def _shape(
        self, state: CMAState, rates: Rates, kept: float, path_c: Floats, steps: Floats
    ) -> tuple[Floats, Floats | None]:
        assert state.axes is not None
        lengths_of_steps = (to_axes(state, steps) / state.lengths) ** 2
        far = len(path_c) / (lengths_of_steps.sum(axis=1) + 1e-8)
        weights = rates.weights * np.where(rates.weights < 0, far, 1)  # eq. 46
        old = (state.axes * state.lengths**2) @ state.axes.T  # C
        new = kept * old + rates.c_1 * np.outer(path_c, path_c) + rates.c_mu * (steps.T * weights) @ steps  # eq. 47
        if not np.isfinite(new).all():
            return np.full(len(path_c), np.nan), None  # out of range, and nothing that eigh could take
        variances, axes = np.linalg.eigh((new + new.T) / 2)
        return held_lengths(variances), axes


def spread(state: CMAState, normal: Floats) -> Floats:
    """Return `normal`, numbers from N(0, I) of shape (P, dim), carried to N(m, sigma^2 C)."""
    return np.asarray(state.mean + state.sigma * from_axes(state, normal * state.lengths))


def to_axes(state: CMAState, vectors: Floats) -> Floats:
    """Return B' v for each row v of `vectors`, (..., dim)."""
    return vectors if state.axes is None else np.asarray(vectors @ state.axes)


def from_axes(state: CMAState, vectors: Floats) -> Floats:
    """Return B v for each row v of `vectors`, (..., dim)."""
    return vectors if state.axes is None else np.asarray(vectors @ state.axes.T)


def clipped(vectors: Floats, bounds: Bounds | None) -> Floats:
    """Return `vectors` (..., dim) cut at the bounds."""
    return vectors if bounds is None else np.clip(vectors, *bounds)


def in_range(state: CMAState) -> bool:
    """Return whether the distribution is finite, and so far from the limits of float64 that its squares are too."""
    sizes = np.append(state.lengths, state.sigma)
    places = np.concatenate([state.mean, state.path_sigma, state.path_c])
    return bool(((sizes > SMALLEST) & (sizes < LARGEST)).all() and (np.abs(places) < LARGEST).all())

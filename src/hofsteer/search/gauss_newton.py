"""Gauss-Newton without derivatives: a search that is told by how much each score misses, not only the mean of it.

A soft prompt has thousands of numbers, the errors it makes are few: six scores, times the forms that are asked. A
search that learns one loss from every candidate throws five sixths away. This one keeps a linear model of all errors
around the best candidate, made of small random steps (probes) there, and moves to where the model has no error left.
Errors are smooth only nearby, so it begins as CMA-ES in the span of the starting population, which looks further. The
reasons, and what was tried before, are in docs/design/0001-search.md.

The steps are those of `linear_model.py`. Probes in random directions, fewer than there are dimensions: Cartis & Roberts
2023, doi:10.1007/s10107-022-01836-1, section 2. Ours: probes are remembered, and count the less the further away the
best has moved since. So nothing has to be measured again because of a step, and nothing is trusted for ever.

A short probe shows slopes, unless rounding (bfloat16) or draws hide them. So the first probes contain pairs of opposite
directions: what a pair has in common is no slope but noise and bend. Of a longer probe noise is a smaller part and bend
a larger one, and probes are as long as makes slopes stand out from both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hofsteer.search.base import Bounds, Floats, Ints, SavedState, check_integers, check_told, own_start, register
from hofsteer.search.cma import CMAState, clipped
from hofsteer.search.linear_model import EXACT, HOPELESS, Observations, blur_of, clear_length, proposed_steps
from hofsteer.search.span import SpanCMA

PROBES, CHOICE = 1, 2  # random streams
PROBE, LONGEST_PROBE = 0.02, 0.16  # lengths; these and the other lengths are in units of the starting vectors' own
CLEAR = 1 / 16  # blur up to which probes are long enough
REMEMBERED, MEASURED = 24, 8  # generations of probes, and of pairs that say how long the next ones are
CMA_PREFIX = "cma_"


@dataclass(frozen=True, eq=False)
class GaussNewtonState(SavedState):
    """The best so far, and probes around it and its forerunners. H is half the population, at least 4; K the errors."""

    kind: ClassVar[str] = "Gauss-Newton state"
    population: Floats  # (P, dim), the initial one, asked at generation 0
    best_told: Floats  # (dim,)
    best_loss: float = np.inf
    best_errors: Floats | None = None  # (K,)
    bases: Floats | None = None  # (G, dim), the best when each generation of probes was drawn
    base_errors: Floats | None = None  # (G, K)
    differences: Floats | None = None  # (G, H, K), the errors of the probes less those of their base; NaN = failed
    drawn: Ints | None = None  # (G,), the generation that each generation of probes was
    lengths: Floats | None = None  # (G,), of the probes
    paired: Ints | None = None  # (G,), 1 = they held pairs
    blurs: Floats | None = None  # (G,), as pairs showed it; NaN = they showed nothing
    length: float = PROBE  # of the next probes
    evaluations: int = 0
    generation: int = 0
    bounds: Bounds | None = None  # (dim,) each
    cma: CMAState | None = None  # of the first part, in coordinates of the population's span; None before and after

    @property
    def best(self) -> Floats:
        """A copy of the best candidate ever told, (dim,); the first of the population while no loss is finite."""
        return self.best_told.copy()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays; those of the first part have a prefix."""
        inner = {} if self.cma is None else {CMA_PREFIX + name: array for name, array in self.cma.arrays().items()}
        return {**SavedState.arrays(replace(self, cma=None)), **inner}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the state that `arrays` was made from; errors as in `State.from_arrays`."""
        inner = {n.removeprefix(CMA_PREFIX): array for n, array in arrays.items() if n.startswith(CMA_PREFIX)}
        state = super().from_arrays({n: array for n, array in arrays.items() if not n.startswith(CMA_PREFIX)})
        return replace(state, cma=CMAState.from_arrays(inner)) if inner else state


@register("gauss-newton")
@dataclass(frozen=True)
class GaussNewton:
    """Settings of the search; generations after the first have half the population, at least 4. Raises ConfigError.

    >>> search = GaussNewton(population_size=8, warm_up=16, seed=1)
    >>> state = search.init(np.random.default_rng(1).normal(size=(8, 5)))
    >>> for _ in range(40):
    ...     candidates = search.ask(state)
    ...     errors = np.stack([candidates[:, 0] - 2, candidates.sum(axis=1) ** 2], axis=1)
    ...     state = search.tell(state, candidates, np.abs(errors).mean(axis=1), errors)
    >>> state.best_loss < 1e-3
    True
    """

    population_size: int = 32  # P, at least 4
    warm_up: int = 256  # evaluations after which probes begin, those of the population included
    seed: int = 0  # 0 or more

    def __post_init__(self) -> None:
        check_integers(self, population_size=4, warm_up=0, seed=0)

    @property
    def state_type(self) -> type[GaussNewtonState]:
        """`GaussNewtonState`, which reads a saved state."""
        return GaussNewtonState

    def init(self, population: Floats, blocks: Ints | None = None, bounds: Bounds | None = None) -> GaussNewtonState:
        """Return the state at generation 0; arguments and errors as in `Optimizer.init`. Blocks make no difference.

        Raises:
            ValueError: also if all rows of the population are equal.
        """
        population, _, bounds = own_start(population, blocks, bounds, self.population_size)
        if (population == population[0]).all():
            raise ValueError("want a population whose rows differ, got equal ones")
        return GaussNewtonState(population, population[0].copy(), bounds=bounds)

    def ask(self, state: GaussNewtonState) -> Floats:
        """Return the candidates of this generation: the population, then half as many from CMA-ES, probes or steps."""
        if state.generation == 0:
            return state.population.copy()
        if state.cma is not None:
            return self._first_part.ask(state.cma, state.population, state.bounds)
        probes = self._probes(state, state.generation, state.best_told, state.length, _paired(state))
        if self._probes_now(state):
            return probes
        assert state.best_errors is not None
        rng = np.random.default_rng([self.seed, state.generation, CHOICE])
        steps = proposed_steps(self._observed(state), state.best_errors, _unit(state), self._half, rng)
        steps = clipped(state.best_told + steps, state.bounds)
        return np.concatenate([steps, probes[len(steps) :]])  # probes again where there is nothing to follow

    def tell(
        self, state: GaussNewtonState, candidates: Floats, losses: Floats, errors: Floats | None = None
    ) -> GaussNewtonState:
        """Return the state of the next generation.

        Args:
            state: the state that was asked.
            candidates: as asked, (C, dim).
            losses: (C,); +inf is a failed evaluation. They decide which candidate is the best.
            errors: (C, K), needed; all zero where there is nothing left to do.

        Raises:
            ValueError: as in `Optimizer.tell`, or errors of another shape, or that are not finite.
        """
        candidates, losses = np.asarray(candidates, dtype=np.float64), np.asarray(losses, dtype=np.float64)
        size = self.population_size if state.generation == 0 else self._half
        check_told((size, state.population.shape[1]), state.bounds, candidates, losses)
        failed = np.isposinf(losses)
        errors = np.full((size, 0), np.nan) if errors is None else np.asarray(errors, dtype=np.float64)
        if errors.ndim != 2 or len(errors) != size or errors.size == 0:
            raise ValueError(f"want errors of shape ({size}, K) beside the losses, got {errors.shape}")
        if (wrong := ~np.isfinite(errors[~failed])).any():
            raise ValueError(f"want finite errors where the loss is finite, got {errors[~failed][wrong][0]}")
        told = replace(state, generation=state.generation + 1, evaluations=state.evaluations + size)
        if state.generation > 0 and state.cma is None and self._probes_now(state):
            told = _remember(told, state, candidates, np.where(failed[:, None], np.nan, errors))
        first = losses.argmin()
        if losses[first] < state.best_loss:
            told = replace(
                told,
                best_told=candidates[first].copy(),
                best_loss=float(losses[first]),
                best_errors=errors[first].copy(),
            )
        return replace(told, cma=self._next_cma(state, told, losses))

    @property
    def _half(self) -> int:
        return max(4, self.population_size // 2)

    @property
    def _first_part(self) -> SpanCMA:
        return SpanCMA(self._half, self.seed)

    def _next_cma(self, state: GaussNewtonState, told: GaussNewtonState, losses: Floats) -> CMAState | None:
        """Return what the first part goes on from; None once it is over: warmed up, and something answered."""
        if state.generation > 0 and state.cma is None:
            return None
        answered = np.isfinite(told.best_loss)
        if answered and told.evaluations + self._half > self.warm_up:
            return None
        if state.cma is not None:
            return self._first_part.tell(state.cma, losses)
        return self._first_part.begin(state.population, losses)

    def _probes_now(self, state: GaussNewtonState) -> bool:
        """Return whether this generation probes: the first two, and every one after steps."""
        if state.drawn is None or len(state.drawn) < 2:
            return True
        return bool(state.drawn[-1] != state.generation - 1)

    def _probes(self, state: GaussNewtonState, generation: int, base: Floats, length: float, paired: bool) -> Floats:
        """Return the probes (H, dim) around a base that a generation draws; they are drawn again, not remembered."""
        rng = np.random.default_rng([self.seed, generation, PROBES])
        normal = rng.standard_normal((self._half, len(base)))
        if paired:
            first, second = _pairs(self._half)
            normal[second] = -normal[first]
        norms = np.linalg.norm(normal, axis=1, keepdims=True)
        return clipped(base + length * _unit(state) / norms * normal, state.bounds)

    def _observed(self, state: GaussNewtonState) -> Observations:
        """Return what the remembered probes, and the steps between their bases, tell about the best of now."""
        assert state.bases is not None
        assert state.base_errors is not None
        assert state.best_errors is not None
        assert state.differences is not None
        assert state.drawn is not None
        assert state.lengths is not None
        assert state.paired is not None
        assert state.blurs is not None
        best, half, dim = state.best_told, self._half, len(state.best_told)
        count = len(state.drawn)
        steps = np.empty((count * half + count, dim))  # in place: with a large model this is what takes memory
        drawn = zip(state.drawn, state.bases, state.lengths, state.paired, strict=True)
        for n, (generation, base, length, paired) in enumerate(drawn):
            probes = self._probes(state, int(generation), base, float(length), bool(paired))
            np.subtract(probes, base, out=steps[n * half : (n + 1) * half])
        walked = steps[count * half :]  # from one base to the next
        np.subtract(state.bases[1:], state.bases[:-1], out=walked[:-1])
        np.subtract(best, state.bases[-1], out=walked[-1])
        errors = np.concatenate([state.base_errors, state.best_errors[None]])
        changes = np.concatenate([*state.differences, np.diff(errors, axis=0)])
        away = np.linalg.norm(state.bases - best, axis=1)
        middles = np.linalg.norm(state.bases + walked / 2 - best, axis=1)
        distances = np.concatenate([np.repeat(away, half), middles])
        noise = np.nan_to_num(state.blurs) * (state.lengths * _unit(state)) ** 2  # of a change, whatever its length
        noise = np.concatenate([np.repeat(noise, half), noise])
        lengths = np.linalg.norm(steps, axis=1)
        kept = (lengths > 0) & np.isfinite(changes).all(axis=1)
        if not kept.all():
            steps, changes, distances = steps[kept], changes[kept], distances[kept]
            noise, lengths = noise[kept], lengths[kept]
        steps /= lengths[:, None]
        return Observations(steps, changes / lengths[:, None], distances, np.clip(noise / lengths**2, EXACT, HOPELESS))


def _unit(state: GaussNewtonState) -> float:
    """Return the root mean square length of the starting vectors: what counts is how far a row turns."""
    return float(np.sqrt((state.population**2).sum(axis=1).mean()))


def _paired(state: GaussNewtonState) -> bool:
    """Return whether the next probes hold pairs: unless the last two that did showed that short ones are clear."""
    if state.length > PROBE or state.blurs is None:
        return True
    known = state.blurs[np.isfinite(state.blurs)][-2:]
    return bool(len(known) < 2 or (known > CLEAR).any())


def _pairs(half: int) -> tuple[slice, slice]:
    """Return where the pairs are among H probes: an eighth of them, and their opposites."""
    pairs = max(1, half // 8)
    return slice(0, pairs), slice(pairs, 2 * pairs)


def _shown(base: Floats, candidates: Floats, changes: Floats) -> float:
    """Return the blur that the pairs among probes show; NaN if no pair was answered and undivided by the bounds."""
    first, second = _pairs(len(candidates))
    sums = candidates[first] + candidates[second] - 2 * base
    whole = np.abs(sums).max(axis=1) <= 1e-6 * np.abs(candidates[first] - base).max(axis=1)
    return blur_of(changes[first][whole], changes[second][whole])


def _remember(told: GaussNewtonState, state: GaussNewtonState, candidates: Floats, errors: Floats) -> GaussNewtonState:
    """Return `told` with the errors (H, K) of the probes that `state` asked for, and how long the next ones are."""
    assert state.best_errors is not None
    changes, paired = errors - state.best_errors, _paired(state)
    new = {
        "bases": state.best_told,
        "base_errors": state.best_errors,
        "differences": changes,
        "drawn": state.generation,
        "lengths": state.length,
        "paired": int(paired),
        "blurs": _shown(state.best_told, candidates, changes) if paired else np.nan,
    }
    kept: dict[str, Any] = {}
    for name, value in new.items():
        before = getattr(state, name)
        row = np.asarray(value)[None]
        kept[name] = row if before is None else np.concatenate([before, row])[-REMEMBERED:]
    known = np.isfinite(kept["blurs"])
    length = clear_length(kept["lengths"][known][-MEASURED:], kept["blurs"][known][-MEASURED:], CLEAR, state.length)
    return replace(told, **kept, length=float(np.clip(length, PROBE, LONGEST_PROBE)))

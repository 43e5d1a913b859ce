"""What every search algorithm offers, ask and tell, and the table of algorithms by name.

An optimizer is a frozen set of settings; all that changes is in its state, and `ask` and `tell` are pure: called
again with the same arguments they return the same numbers, and they change nothing that they were given. So a
generation can be tried again, and a search that is resumed from a saved state is the search that was never stopped.
Random numbers come from `default_rng([seed, generation, STREAM])`, with a `STREAM` of its own, never zero, for each
use (a trailing zero would be lost: `default_rng((7, 0))` is `default_rng(7)`).
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from numbers import Integral
from typing import Any, ClassVar, Protocol, Self, TypeVar, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import ConfigError, did_you_mean

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bounds = tuple[Floats, Floats]  # lower and upper, (dim,) each; an infinite value leaves that side open


class State(Protocol):
    """All that a resume needs besides the settings of the optimizer. Never changed: `tell` returns a new one."""

    @property
    def generation(self) -> int:
        """How many generations have been told, 0 at the start."""

    @property
    def evaluations(self) -> int:
        """How many candidates have been told."""

    @property
    def best(self) -> Floats:
        """The best vector so far, (dim,); the first of the population while no loss is finite."""

    @property
    def best_loss(self) -> float:
        """The loss of `best`, +inf while no loss is finite."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays of dtype float64 or int64; what is None has no entry."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the state that `arrays` was made from, to the last bit.

        Raises:
            ValueError: `arrays` holds other names than a state of this kind.
        """


class SavedState:
    """Saving for states that are frozen dataclasses: a field each for arrays, integers and floats, and `bounds`.

    What a field holds is read from its annotation; a field that may be None has no entry then.
    """

    kind: ClassVar[str]  # in words, such as "DE state"
    bounds: Bounds | None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays of float64 or int64; `bounds` are `lower` and `upper`."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        if (bounds := named.pop("bounds")) is not None:
            named["lower"], named["upper"] = bounds
        return {name: np.asarray(value) for name, value in named.items() if value is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the state that `arrays` was made from, to the last bit, with copies of the arrays.

        Raises:
            ValueError: `arrays` holds other names than a state of this kind.
        """
        hints = get_type_hints(cls)
        wanted = {field.name: hints[field.name] for field in fields(cls) if field.name != "bounds"}  # type: ignore[arg-type]
        maybe = {name for name, hint in wanted.items() if type(None) in get_args(hint)}
        always, names, limits = set(wanted) - maybe, set(arrays), {"lower", "upper"}
        if names - limits - maybe != always or len(limits & names) == 1:
            extra = ", ".join([*sorted(maybe), "lower and upper"])
            raise ValueError(f"want a {cls.kind}: {sorted(always)}, maybe {extra}; got {sorted(names)}")
        own: dict[str, Any] = {
            name: wanted[name](array) if wanted[name] in (int, float) else np.array(array)
            for name, array in arrays.items()
            if name not in limits
        }
        bounds = tuple(np.array(arrays[side]) for side in ("lower", "upper")) if limits <= names else None
        return cls(**own, bounds=bounds)  # type: ignore[call-arg]


S = TypeVar("S", bound=State)


class Optimizer(Protocol[S]):
    """A black-box search for the vector with the lowest loss. P is the population size.

    One generation is `candidates = ask(state)`, an evaluation, and `state = tell(state, candidates, losses, errors)`.
    """

    @property
    def population_size(self) -> int:
        """P, the number of candidates of the first generation; later ones may have fewer, as `ask` says."""

    @property
    def state_type(self) -> type[S]:
        """The class whose `from_arrays` reads a saved state of this optimizer."""

    def init(self, population: Floats, blocks: Ints | None = None, bounds: Bounds | None = None) -> S:
        """Return the state at generation 0, which holds copies of the arguments.

        Args:
            population: (P, dim), finite and inside `bounds`, made by whoever knows what the numbers mean.
            blocks: (dim,), one id for each coordinate; coordinates with equal ids belong together (one token).
                None if there is no such grouping.
            bounds: lower and upper limits, (dim,) each, which no candidate will leave. None for no limits.

        Raises:
            ValueError: an argument has the wrong shape, is not finite, or the population is outside the bounds.
            ConfigError: the settings need `blocks` or `bounds` and got None.
        """

    def ask(self, state: S) -> Floats:
        """Return the candidates of this generation, (P or fewer, dim); at generation 0 the population of `init`."""

    def tell(self, state: S, candidates: Floats, losses: Floats, errors: Floats | None = None) -> S:
        """Return the state of the next generation.

        Args:
            state: the state that was asked.
            candidates: (P, dim), the answer of `ask`.
            losses: (P,), any magnitude; +inf is a failed evaluation. All may be +inf.
            errors: (P, E), signed, what the losses are made of; those of failures do not count. Most searches do not
                look at them.

        Raises:
            ValueError: a wrong shape, no errors for a search that needs them,
                a loss that is NaN or -inf, a candidate that is not finite or out of bounds.
        """


def check_integers(settings: Any, **least: int) -> None:
    """Raise ConfigError unless each named setting is an integer of at least so much."""
    for name, lowest in least.items():
        number = getattr(settings, name)
        if not isinstance(number, Integral) or int(number) < lowest:
            raise ConfigError(f"{name} wants an integer of at least {lowest}, got {number!r}")


def own_start(
    population: Floats, blocks: Ints | None, bounds: Bounds | None, population_size: int
) -> tuple[Floats, Ints | None, Bounds | None]:
    """Return checked copies of the arguments of `Optimizer.init`, which says what they are and what is raised."""
    population = np.array(population, dtype=np.float64)
    if population.ndim != 2 or len(population) != population_size or population.shape[1] == 0:
        raise ValueError(f"want a population of shape ({population_size}, dim), got {population.shape}")
    dim = population.shape[1]
    if blocks is not None:
        if np.shape(blocks) != (dim,) or not np.issubdtype(np.asarray(blocks).dtype, np.integer):
            raise ValueError(f"want blocks of {dim} integers, got {np.asarray(blocks).dtype} {np.shape(blocks)}")
        blocks = np.array(blocks, dtype=np.int64)
    if bounds is not None:
        lower, upper = (np.array(side, dtype=np.float64) for side in bounds)
        if lower.shape != (dim,) or upper.shape != (dim,) or not (lower <= upper).all():
            raise ValueError(f"want lower <= upper bounds of shape ({dim},), got {lower.shape} {upper.shape}, or NaN")
        bounds = lower, upper
    check_inside(population, bounds)
    return population, blocks, bounds


def check_inside(candidates: Floats, bounds: Bounds | None) -> None:
    """Raise ValueError if a coordinate of `candidates` (P, dim) is not finite or is outside `bounds`."""
    wrong = ~np.isfinite(candidates)
    if bounds is not None:
        wrong |= (candidates < bounds[0]) | (candidates > bounds[1])
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        limits = "" if bounds is None else f" in [{bounds[0][column]}, {bounds[1][column]}]"
        raise ValueError(f"want finite numbers{limits}, got {candidates[row, column]} at [{row}, {column}]")


def check_told(shape: tuple[int, ...], bounds: Bounds | None, candidates: Floats, losses: Floats) -> None:
    """Raise ValueError if `candidates` do not have `shape` (P, dim), or as `Optimizer.tell` says of the rest."""
    if candidates.shape != shape:
        raise ValueError(f"want candidates of shape {shape}, got {candidates.shape}")
    if losses.shape != shape[:1]:
        raise ValueError(f"want losses of shape {shape[:1]}, got {losses.shape}")
    wrong = np.isnan(losses) | np.isneginf(losses)
    if wrong.any():
        row = np.flatnonzero(wrong)[0]
        raise ValueError(f"want losses that are finite, or +inf for a failure, got {losses[row]} for candidate {row}")
    check_inside(candidates, bounds)


OPTIMIZERS: dict[str, Callable[..., Optimizer[Any]]] = {}  # name as in a run's settings -> class

T = TypeVar("T", bound=Optimizer[Any])


def register(name: str) -> Callable[[type[T]], type[T]]:
    """Return a class decorator that puts an optimizer into `OPTIMIZERS` under `name`."""

    def add(optimizer: type[T]) -> type[T]:
        OPTIMIZERS[name] = optimizer
        return optimizer

    return add


def make_optimizer(name: str, **settings: Any) -> Optimizer[Any]:
    """Return the optimizer called `name` with these settings; the others keep their defaults.

    Raises:
        ConfigError: the name or a setting is unknown, or a value is out of range.

    >>> make_optimizer("de", population_size=20).population_size
    20
    """
    if name not in OPTIMIZERS:
        raise ConfigError(
            f"search wants one of {', '.join(map(repr, OPTIMIZERS))}, got {name!r}{did_you_mean(name, OPTIMIZERS)}"
        )
    known = inspect.signature(OPTIMIZERS[name]).parameters
    for setting in settings:
        if setting not in known:
            raise ConfigError(f"search {name!r} has no setting {setting!r}{did_you_mean(setting, known)}")
    return OPTIMIZERS[name](**settings)

"""What a search vector means: from coordinates to soft prompts.

Every space gives each virtual token coordinates of its own, so a coordinate always belongs to one token, its *block*.
Normal noise of deviation 1 becomes rows that lie as far from the space's center, on average, as the vocabulary's rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hofsteer.config import SpaceSettings
from hofsteer.errors import ConfigError
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import Respondent, SoftPrompts

if TYPE_CHECKING:
    from hofsteer.respondent.vocabulary import Components

START, MAP = 1, 2  # random streams


@dataclass(frozen=True, eq=False)
class Space(ABC):
    """Search vectors (P, dim) and the soft prompts (P, L, W) that they stand for."""

    tokens: int  # L
    width: int  # W
    spread: float  # the standard deviation of the vocabulary's embedding values
    norm_range: tuple[float, float] | None = None  # within which each row's length is kept; None = no limit
    cast: Callable[[SoftPrompts], SoftPrompts] | None = None  # to what the model can take in its own dtype

    @property
    @abstractmethod
    def coordinates(self) -> int:
        """How many coordinates each token has."""

    @abstractmethod
    def rows(self, vectors: Floats) -> Floats:
        """Return the rows (P, L, W) of search vectors (P, dim), before any limit."""

    @abstractmethod
    def encode(self, soft_prompts: Floats) -> Floats:
        """Return the search vectors (P, dim) whose rows come nearest to those of soft prompts (P, L, W)."""

    @abstractmethod
    def transpose(self, gradient: Floats) -> Floats:
        """Return what a gradient with respect to rows (L, W), before any limit, is with respect to a vector (dim,)."""

    @property
    def dim(self) -> int:
        """Length of a search vector."""
        return self.tokens * self.coordinates

    @property
    def blocks(self) -> NDArray[np.int64]:
        """The virtual token that each coordinate belongs to, (dim,)."""
        return np.repeat(np.arange(self.tokens), self.coordinates)

    def noise(self, population_size: int, scale: float, seed: int) -> Floats:
        """Return a starting population (population_size, dim) of normal noise with deviation `scale`, in units."""
        rng = np.random.default_rng([seed, START])
        return rng.normal(0.0, scale, size=(population_size, self.dim))

    def decode(self, vectors: Floats) -> SoftPrompts:
        """Search vectors (P, dim) -> soft prompts (P, L, W), float32, just as they are saved and evaluated.

        A row that is too long or too short is scaled; one of zeros has no direction and stays.
        """
        rows = self.rows(vectors)
        if self.norm_range is not None:
            lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
            rows = rows * (np.clip(lengths, *self.norm_range) / np.where(lengths > 0, lengths, 1.0))
        prompts = rows.astype(np.float32)
        return prompts if self.cast is None else self.cast(prompts)

    def pull_back(self, vector: Floats, gradient: Floats) -> Floats:
        """Return the gradient (dim,) at a search vector (dim,) from that with respect to its soft prompt (L, W).

        A row that is kept within the limits moves on a sphere: the part of its gradient along the row vanishes.
        Rounding by `cast` is taken as if it were not there.
        """
        if self.norm_range is not None:
            rows = self.rows(vector[None])[0]
            lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
            units = rows / np.where(lengths > 0, lengths, 1.0)
            kept = np.clip(lengths, *self.norm_range)
            along = (gradient * units).sum(axis=-1, keepdims=True) * units
            limited = (gradient - along) * kept / np.where(lengths > 0, lengths, 1.0)
            gradient = np.where((kept != lengths) & (lengths > 0), limited, gradient)
        return self.transpose(gradient)


@dataclass(frozen=True, eq=False)
class FullSpace(Space):
    """All L x W numbers of a soft prompt, in units of the spread of the model's embeddings; the center is zero."""

    @property
    def coordinates(self) -> int:
        """As many as a row has numbers."""
        return self.width

    def rows(self, vectors: Floats) -> Floats:
        """Return spread * vectors, row by row."""
        return (self.spread * vectors).reshape(-1, self.tokens, self.width)

    def transpose(self, gradient: Floats) -> Floats:
        """Return spread * gradient, flat."""
        return self.spread * gradient.ravel()

    def encode(self, soft_prompts: Floats) -> Floats:
        """Return the vectors of these soft prompts, exactly."""
        return np.asarray(soft_prompts, dtype=np.float64).reshape(len(soft_prompts), self.dim) / self.spread


@dataclass(frozen=True, eq=False)
class SubspaceSpace(Space):
    """k coordinates for each token, along fixed directions: row = center + map @ coordinates."""

    center: Floats = field(kw_only=True)  # (W,)
    maps: Floats = field(kw_only=True)  # (L, W, k), or (1, W, k) for all tokens; columns at right angles

    @property
    def coordinates(self) -> int:
        """As many as there are directions, k."""
        return int(self.maps.shape[-1])

    def rows(self, vectors: Floats) -> Floats:
        """Return center + map @ coordinates, each row by itself, so that it does not depend on those beside it."""
        own = vectors.reshape(-1, self.tokens, self.coordinates, 1)
        return np.asarray(self.center + np.matmul(self.maps, own)[..., 0])

    def transpose(self, gradient: Floats) -> Floats:
        """Return map^T @ gradient, row by row."""
        return np.asarray(np.matmul(self.maps.swapaxes(1, 2), gradient[..., None]).ravel())

    def encode(self, soft_prompts: Floats) -> Floats:
        """Return the projections of soft prompts onto the space."""
        apart = np.asarray(soft_prompts, dtype=np.float64) - self.center
        own = np.matmul(self.maps.swapaxes(1, 2), apart[..., None])[..., 0] / (self.maps**2).sum(axis=1)
        return np.asarray(own.reshape(len(apart), self.dim))


def random_maps(k: int, tokens: int, width: int, spread: float, seed: int) -> Floats:
    """Return k random directions for each token, (L, W, k), at right angles and of length spread * sqrt(W / k).

    With k = W they are FullSpace, turned.
    """
    maps = np.empty((tokens, width, k))
    for token in range(tokens):
        axes, triangle = np.linalg.qr(np.random.default_rng([seed, token, MAP]).normal(size=(width, k)))
        maps[token] = axes * np.sign(np.diag(triangle))  # without the signs they would not be uniformly random
    return np.asarray(maps * spread * np.sqrt(width / k))


def principal_maps(found: "Components") -> Floats:
    """Return principal components as one map for all tokens, (1, W, k).

    Each is as long as the rows deviate along it, times what makes up for the directions that are left out.
    """
    units = found.deviations * np.sqrt(found.total / (found.deviations**2).sum())
    return np.asarray((units[:, None] * found.directions).T[None])


def make_space(settings: SpaceSettings, respondent: Respondent) -> Space:
    """Return the space that the settings describe, in the units of a respondent.

    Raises:
        ConfigError: more coordinates for a token than the embeddings have numbers.
        ModelError: what is asked for needs a vocabulary, and the respondent has none.
    """
    tokens, width, spread, k = settings.tokens, respondent.width, respondent.spread, settings.coordinates
    if k is not None and k > width:
        raise ConfigError(f"space.coordinates wants at most the {width} numbers of a row, got {k}")
    limits = respondent.vocabulary().norm_range if settings.norm_limit else None
    common = (tokens, width, spread, limits, respondent.as_saved)
    if k is None:
        return FullSpace(*common)
    if settings.map == "random":
        maps = random_maps(k, tokens, width, spread, settings.map_seed)
        return SubspaceSpace(*common, center=np.zeros(width), maps=maps)
    found = respondent.vocabulary().components(k)
    return SubspaceSpace(*common, center=found.center, maps=principal_maps(found))

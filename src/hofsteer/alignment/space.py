"""What a search vector means: from coordinates to soft prompts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hofsteer.instruments.base import Floats

START = 1  # random stream


@dataclass(frozen=True)
class FullSpace:
    """All L x W numbers of a soft prompt, in units of the spread of the model's embeddings."""

    tokens: int  # L
    width: int  # W
    spread: float  # one unit: the standard deviation of the vocabulary's embedding values

    @property
    def dim(self) -> int:
        """Length of a search vector, L * W."""
        return self.tokens * self.width

    @property
    def blocks(self) -> NDArray[np.int64]:
        """The virtual token that each coordinate belongs to, (dim,)."""
        return np.repeat(np.arange(self.tokens), self.width)

    def noise(self, population_size: int, scale: float, seed: int) -> Floats:
        """Return a starting population (population_size, dim) of normal noise with deviation `scale`, in units."""
        rng = np.random.default_rng([seed, START])
        return rng.normal(0.0, scale, size=(population_size, self.dim))

    def decode(self, vectors: Floats) -> NDArray[np.float32]:
        """Search vectors (P, dim) -> soft prompts (P, L, W), float32, just as they are saved."""
        return (self.spread * vectors).astype(np.float32).reshape(-1, self.tokens, self.width)

"""The vocabulary of a model as its embedding module gives it: rows, their lengths, and the directions they vary in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hofsteer.errors import ModelError, SoftPromptError
from hofsteer.instruments.base import Floats

ROWS_AT_ONCE = 8192
LEAST_SHARE = 1e-12  # of the variance, in a direction that the rows vary in


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of vocabulary rows, the strongest first."""

    center: Floats  # (W,), the mean row
    directions: Floats  # (k, W), of length 1 and at right angles; the largest entry of each is positive
    deviations: Floats  # (k,), of the rows along each direction, falling
    total: float  # variance of the rows along all W directions together


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What stands for tokens in front of a model. Any scaling inside the embedding module is included."""

    embed: Callable[[torch.Tensor], torch.Tensor]  # ids (n,) -> rows (n, W)
    size: int  # rows of the embedding module
    tokenizer: Any  # of transformers
    name: str  # of the model

    def rows(self, ids: Sequence[int] | NDArray[np.int64]) -> Floats:
        """Return the rows of token ids, (n, W)."""
        return np.asarray(self.embed(torch.as_tensor(np.asarray(ids, dtype=np.int64))).double().cpu().numpy())

    @cached_property
    def ordinary_ids(self) -> NDArray[np.int64]:
        """Ids of tokens that are text: neither special nor rows that only fill the embedding up."""
        known = np.arange(min(self.size, len(self.tokenizer)))
        return known[~np.isin(known, self.tokenizer.all_special_ids)]

    @cached_property
    def norm_range(self) -> tuple[float, float]:
        """The lengths (Euclidean norms) of the shortest and the longest row of an ordinary token."""
        lengths = [
            np.linalg.norm(self.rows(part), axis=1)
            for part in np.array_split(self.ordinary_ids, 1 + len(self.ordinary_ids) // ROWS_AT_ONCE)
        ]
        return float(min(part.min() for part in lengths)), float(max(part.max() for part in lengths))

    @property
    def bos_row(self) -> Floats:
        """The row of the beginning-of-sequence token, (W,). Raises ModelError if there is no such token."""
        bos = self.tokenizer.bos_token_id
        if bos is None:
            raise ModelError(f"{self.name} has no beginning-of-sequence token to start row 0 from")
        return np.asarray(self.rows([bos])[0])

    def text_ids(self, text: str, count: int) -> list[int]:
        """Return the token ids of a text, begun again until there are `count`, or cut to that: as PEFT starts from one.

        No beginning-of-sequence token is added. Raises SoftPromptError if the text has no token.
        """
        ids = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        if not ids:
            raise SoftPromptError(f"want a text with tokens to start from, got {text!r}")
        return [ids[place % len(ids)] for place in range(count)]

    def components(self, count: int) -> Components:
        """Return the strongest principal components of all rows of the embedding module.

        Raises:
            ModelError: the rows vary in fewer directions.
        """
        from scipy.linalg import eigh

        center = torch.stack([part.sum(dim=0) for part in self._parts()]).sum(dim=0) / self.size
        squares = torch.zeros(len(center), len(center), dtype=torch.float64, device=center.device)
        for part in self._parts():
            squares += (part - center).T @ (part - center)
        covariance = (squares / self.size).cpu().numpy()
        width, total = len(covariance), float(np.trace(covariance))
        if count > width:
            raise ModelError(f"want at most the {width} directions that {self.name} has, got {count}")
        values, vectors = eigh(covariance, subset_by_index=[width - count, width - 1])
        if values[0] <= LEAST_SHARE * total:
            varied = int((values > LEAST_SHARE * total).sum())
            raise ModelError(f"the vocabulary of {self.name} varies in {varied} directions only, wanted {count}")
        directions = vectors.T[::-1]
        largest = np.abs(directions).argmax(axis=1)
        directions = directions * np.sign(directions[np.arange(count), largest])[:, None]
        return Components(center.cpu().numpy(), directions, np.sqrt(values[::-1]), total)

    def _parts(self) -> Iterator[torch.Tensor]:
        """Yield all rows, some at a time: together they may be as large as a small model."""
        for ids in torch.split(torch.arange(self.size), ROWS_AT_ONCE):
            yield self.embed(ids).double()

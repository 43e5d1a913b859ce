"""What is asked and how answers become scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import InstrumentError

Floats = NDArray[np.float64]
Zero = Literal["chosen", "fixed"]


@dataclass(frozen=True)
class Option:
    """One response option: what is shown, and what it counts."""

    text: str
    value: float


@dataclass(frozen=True)
class Item:
    """One question: its wordings (each says the whole stem) and its response options in canonical order."""

    id: str
    construct: str  # what it asks about, in a few words
    wordings: tuple[str, ...]
    options: tuple[Option, ...]  # 2 to 10
    scale: str | None = None  # the scale that it shares with other items; None if the options are its own
    domain: str | None = None  # where its situation takes place, such as work
    deviation: float = 1.0  # standard deviation of people's answers, in option values


@dataclass(frozen=True)
class Dimension:
    """One score of the instrument: a weighted sum of item means, plus an intercept."""

    id: str
    name: str
    weights: tuple[tuple[str, float], ...]  # (item id, points per unit of its option values)
    intercept: float = 0.0  # points


@dataclass(frozen=True, eq=False)
class Instrument:
    """A linear instrument: dimension scores = weights @ item means + intercepts.

    Constants belong to the run, not to the instrument; one whose zero is `fixed` takes none.
    """

    id: str
    title: str
    source: str  # manual or paper, with the place of the formulas
    licence: str
    language: str
    neutral: float | None  # the answer in the middle of every scale, in option values; None if scales differ
    items: tuple[Item, ...]
    dimensions: tuple[Dimension, ...]
    hash: str  # SHA-256 of the file(s) it came from
    optional_items: tuple[Item, ...] = ()  # asked only if wanted; they enter no score
    constants: Zero = "chosen"  # whether the researcher chooses where the zero of the scores lies
    validated: bool = True  # False: nobody has shown on people that it measures what it names
    person_centred: bool = False  # answers count less their mean over all items, which the weights already say

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The item ids in the order of every `I` axis."""
        return tuple(item.id for item in self.items)

    @property
    def dimension_ids(self) -> tuple[str, ...]:
        """The dimension ids in the order of every `M` axis."""
        return tuple(dimension.id for dimension in self.dimensions)

    @property
    def digits(self) -> int:
        """Decimals that scores are shown with: the units of a scale with its own zero are larger than index points."""
        return 2 if self.constants == "fixed" else 1

    @property
    def unit(self) -> str:
        """What scores are counted in, in words."""
        return "points of its own scale" if self.constants == "fixed" else "index points"

    @property
    def variation(self) -> str:
        """How far people's answers are taken to vary in `noise_floor`, in words."""
        plain = all(item.deviation == 1 for item in self.items)
        return "by one scale step" if plain else "as the instrument says of each item"

    def with_optional(self) -> "Instrument":
        """Return the instrument with its optional items at the end of the `I` axis; the scores are the same."""
        return replace(self, items=self.items + self.optional_items, optional_items=())

    @cached_property
    def weights(self) -> Floats:
        """Points per unit of the option values, (M, I); zero where an item does not enter."""
        column = {item.id: i for i, item in enumerate(self.items)}
        weights = np.zeros((len(self.dimensions), len(self.items)))
        for row, dimension in enumerate(self.dimensions):
            for item_id, points in dimension.weights:
                weights[row, column[item_id]] = points
        weights.setflags(write=False)
        return weights

    @cached_property
    def intercepts(self) -> Floats:
        """Points that a dimension has before anything is answered, (M,)."""
        intercepts = np.array([dimension.intercept for dimension in self.dimensions])
        intercepts.setflags(write=False)
        return intercepts

    @cached_property
    def option_values(self) -> Floats:
        """What each option counts, (I, K) with K the most options of any item; NaN where an item has fewer."""
        values = np.full((len(self.items), max(len(item.options) for item in self.items)), np.nan)
        for row, item in enumerate(self.items):
            values[row, : len(item.options)] = [option.value for option in item.options]
        values.setflags(write=False)
        return values

    @cached_property
    def option_mask(self) -> NDArray[np.bool_]:
        """True where an item has that option, (I, K)."""
        return ~np.isnan(self.option_values)

    @cached_property
    def neutral_means(self) -> Floats:
        """The answer in the middle of each item's scale, (I,), in option values."""
        values = self.option_values
        middle = (np.nanmin(values, axis=1) + np.nanmax(values, axis=1)) / 2
        means = middle if self.neutral is None else np.full(len(self.items), self.neutral)
        means.setflags(write=False)
        return means

    def item(self, item_id: str) -> Item:
        """Return the item with this id, optional ones included; KeyError if there is none."""
        return {item.id: item for item in (*self.items, *self.optional_items)}[item_id]

    def item_means(self, probabilities: Floats) -> Floats:
        """Answer distributions (..., I, K) over canonical options -> expected answers (..., I), in option values.

        Each distribution must sum to 1 over the item's own options; what stands at padded options is not read.
        """
        values = self.option_values
        if probabilities.shape[-2:] != values.shape:
            raise InstrumentError(
                f"want probabilities (..., {values.shape[0]}, {values.shape[1]}), got {probabilities.shape}"
            )
        return np.asarray(np.where(self.option_mask, probabilities * np.nan_to_num(values), 0.0).sum(axis=-1))

    def score_means(self, item_means: Floats) -> Floats:
        """Item means (..., I), in option values -> dimension scores (..., M), in points, without a constant.

        A missing item (NaN) makes just the dimensions NaN that it enters.
        """
        weights = self.weights
        if item_means.shape[-1] != weights.shape[1]:
            raise InstrumentError(f"want {weights.shape[1]} item means, got {item_means.shape[-1]}")
        terms = np.where(weights != 0, item_means[..., None, :] * weights, 0.0)
        return np.asarray(terms.sum(axis=-1) + self.intercepts)

    def score(self, probabilities: Floats) -> Floats:
        """Answer distributions (..., I, K) -> dimension scores (..., M), in points, without a constant."""
        return self.score_means(self.item_means(probabilities))

    def noise_floor(
        self, n: int, item_deviation: float | Floats | None = None, compared: NDArray[np.bool_] | None = None
    ) -> float:
        """Mean absolute difference, in points, between the scores of two human samples of `n` from one country.

        The standard error of a score is sqrt(sum of (weight x deviation)^2 / n), with answers that are independent
        over items; two samples differ by 2 / sqrt(pi) of it on average if normal. VSM13 at n = 20, 50, 200: 17, 11 and
        5 points.

        Args:
            n: respondents in each sample.
            item_deviation: standard deviation of the answers, one for all or (I,); by default those of the items.
            compared: the dimensions (M,) to take the mean over; by default all.
        """
        if item_deviation is None:
            item_deviation = np.array([item.deviation for item in self.items])
        standard_errors = np.sqrt(((self.weights * item_deviation) ** 2).sum(axis=1) / n)
        if compared is not None:
            standard_errors = standard_errors[compared]
        return float(2 / np.sqrt(np.pi) * standard_errors.mean())


def named_scores(scores: Floats, dimensions: Sequence[str]) -> dict[str, float | None]:
    """Return scores (M,) by dimension as JSON values; None where missing.

    >>> named_scores(np.array([50.0, np.nan]), ["PDI", "IDV"])
    {'PDI': 50.0, 'IDV': None}
    """
    return {d: None if np.isnan(score) else float(score) for d, score in zip(dimensions, scores, strict=True)}

"""A small generative model of survey respondents, whose truth is known to the last digit.

The mean answer of country c to item i is `middle_i + intercept_i + tilt_i . (profile_c - origin) + residual_ci`. Tilts
are the smallest change of the answers, in units of each item's scale, that moves the scores by one point. Intercepts
and residuals lie in the null space of the scoring weights, so the scores of the means are the profile exactly, and yet
an item has a truth beyond its index.

It serves any linear instrument: items may enter several dimensions, and their scales may differ. Widths and deviations
are in steps of a scale from 1 to 5; on another scale a step is a quarter of its range.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hofsteer.instruments.base import Floats, Instrument
from hofsteer.world.curves import AnswerCurves, answer_distribution

MIDPOINT = 50.0  # the score of a respondent whose answers are all neutral, when C = 50
SCALE_RANGE, SCALE_MIDDLE = 4.0, 3.0  # of the scale from 1 to 5 in whose steps the numbers below are
INTERCEPT_RANGE = (1.6, 3.8)  # before the part that the index formulas see is taken out
RESIDUAL_DEVIATION = 0.25
NOISE_RANGE = (0.6, 1.0)  # person noise: width of an answer distribution
MARGIN = 0.1  # a mean stays this far inside the scale
INVISIBLE = 1e-12  # less than this is rounding

INTERCEPTS, RESIDUALS, NOISE = 1, 2, 3  # random streams


@dataclass(frozen=True, eq=False)
class ItemModel:
    """How the items of one instrument answer, whoever is asked. All but `tilt` and `to_null` in option values."""

    instrument: Instrument
    middle: Floats  # (I,), the middle of each scale
    unit: Floats  # (I,), a step: a quarter of each scale
    origin: Floats  # (M,), the scores of the middle, constants included, in points
    tilt: Floats  # (I, M), change of the means a point
    to_null: Floats  # (I, I), projector of deviations in steps onto what the scores do not see
    intercepts: Floats  # (I,)
    noise: Floats  # (I,), width of the answer distributions
    lowest: Floats  # (I,), least mean
    highest: Floats  # (I,), greatest mean

    @cached_property
    def curves(self) -> AnswerCurves:
        """The answer distributions at any mean."""
        return AnswerCurves.tabulate(self.instrument.option_values, self.noise, self.lowest, self.highest)

    @cached_property
    def blocks(self) -> NDArray[np.bool_]:
        """Items that are linked by the dimensions they enter, (B, I): each item is in one block."""
        enters = self.instrument.weights != 0
        linked = (enters.T.astype(np.intp) @ enters > 0) | np.eye(len(self.unit), dtype=np.bool_)
        while True:
            further = linked.astype(np.intp) @ linked > 0
            if (further == linked).all():
                return np.asarray(linked[np.sort(np.unique(linked.argmax(axis=1)))])
            linked = further

    def line(self, profiles: Floats) -> Floats:
        """Return item means (..., I) of profiles (..., M) without residuals, wherever the scales end."""
        led = np.einsum("...m,im->...i", profiles - self.origin, self.tilt)
        return np.asarray(self.middle + self.intercepts + led)

    def hidden(self, deviations: Floats) -> Floats:
        """Return what the scores do not see of deviations (..., I), given in steps."""
        return np.asarray(deviations @ self.to_null.T * self.unit)

    def means(self, profiles: Floats, residuals: Floats) -> Floats:
        """Return item means (..., I) of profiles (..., M) with residuals (..., I), on the scales.

        Where a scale ends, residuals and intercepts of linked items give way alike; a profile that is still out of
        reach is cut.
        """
        line = self.line(profiles)
        means = line + residuals
        off = self.off_scale(means)
        if not off.any():
            return np.asarray(means)
        fitted = np.clip(self.fit(line - self.intercepts, self.intercepts + residuals), self.lowest, self.highest)
        return np.where(np.expand_dims(off, -1), fitted, means)

    def fit(self, means: Floats, deviations: Floats) -> Floats:
        """Return means plus deviations (..., I), those of linked items shrunk alike until they are on the scale.

        Shrinking the items of a block by one factor keeps deviations that the scores do not see unseen.
        """
        moves = np.abs(deviations) > INVISIBLE * self.unit
        limits = np.where(deviations > 0, self.highest, self.lowest) - means
        room = np.divide(limits, deviations, out=np.full(np.shape(limits), np.inf), where=moves)
        factors = np.ones_like(room)
        for block in self.blocks:
            least = room[..., block].min(axis=-1, keepdims=True)
            factors[..., block] = np.clip(least, 0.0, 1.0)
        return np.asarray(means + factors * deviations)

    def off_scale(self, means: Floats) -> NDArray[np.bool_]:
        """Return whether any of the item means (..., I) leaves its scale, (...)."""
        slack = INVISIBLE * self.unit
        return np.asarray(((means < self.lowest - slack) | (means > self.highest + slack)).any(axis=-1))


@dataclass(frozen=True, eq=False)
class World:
    """Respondents of C countries who answer one instrument."""

    instrument: Instrument
    codes: tuple[str, ...]  # (C,)
    profiles: Floats  # (C, M), the scores that the countries have, in points
    item_means: Floats  # (C, I), in option values
    noise: Floats  # (I,), width of the answer distributions
    items: ItemModel

    @cached_property
    def constants(self) -> Floats:
        """What is added to the scores of the means to give the profiles, (M,): 50, or 0 where the zero is fixed."""
        return np.asarray(self.items.origin - self.instrument.score_means(self.items.middle))

    @cached_property
    def residuals(self) -> Floats:
        """What the profiles do not say of the item means, (C, I)."""
        return np.asarray(self.item_means - self.items.line(self.profiles))

    def answers(self, code: str) -> Floats:
        """The answer distribution of a country, (I, K) over canonical options; zero where an item has fewer."""
        means = self.item_means[self.codes.index(code)]
        values, mask = self.instrument.option_values, self.instrument.option_mask
        answers = np.zeros(values.shape)
        for i in range(len(means)):
            answers[i, mask[i]] = answer_distribution(means[i], self.noise[i], values[i, mask[i]])
        return answers

    def mixture(self, shares: Mapping[str, float]) -> Floats:
        """The answer distribution (I, K) of a population mixed from countries; shares must sum to 1."""
        return np.asarray(sum(share * self.answers(code) for code, share in shares.items()))


def make_items(instrument: Instrument, seed: int, constant: float | Floats | None = None) -> ItemModel:
    """Return the items of an instrument as a seed draws them.

    Args:
        instrument: any linear one.
        seed: of intercepts and noise.
        constant: added to the scores, one for all or (M,); by default 50, or 0 for an instrument that has its own zero.
    """
    if constant is None:
        constant = 0.0 if instrument.constants == "fixed" else MIDPOINT
    values = instrument.option_values
    lowest, highest = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    middle, unit = (lowest + highest) / 2, (highest - lowest) / SCALE_RANGE
    scaled = instrument.weights * unit
    inverse = np.linalg.pinv(scaled)
    to_null = np.eye(len(unit)) - inverse @ scaled
    drawn = np.random.default_rng([seed, INTERCEPTS]).uniform(*INTERCEPT_RANGE, size=len(unit))
    return ItemModel(
        instrument=instrument,
        middle=middle,
        unit=unit,
        origin=instrument.score_means(middle) + constant,
        tilt=unit[:, None] * inverse,
        to_null=to_null,
        intercepts=(to_null @ (drawn - SCALE_MIDDLE)) * unit,
        noise=np.random.default_rng([seed, NOISE]).uniform(*NOISE_RANGE, size=len(unit)) * unit,
        lowest=lowest + MARGIN * unit,
        highest=highest - MARGIN * unit,
    )


def make_world(
    instrument: Instrument, profiles: Mapping[str, Floats], seed: int, constant: float | Floats | None = None
) -> World:
    """Return a world in which each country's true scores are the given profile (M,), without gaps.

    Args:
        instrument: any linear one.
        profiles: code -> scores.
        seed: of everything that is drawn.
        constant: see `make_items`.

    Raises:
        ValueError: a profile cannot be answered within the scales or has a gap.
    """
    items = make_items(instrument, seed, constant)
    codes = tuple(profiles)
    matrix = np.stack([profiles[code] for code in codes])
    if not np.isfinite(matrix).all():
        gaps = [code for code, profile in zip(codes, matrix, strict=True) if not np.isfinite(profile).all()]
        raise ValueError(f"want profiles with a score on every dimension, got gaps in {', '.join(gaps)}")
    shape = (len(codes), len(items.unit))
    drawn = np.random.default_rng([seed, RESIDUALS]).normal(0.0, RESIDUAL_DEVIATION, size=shape)
    means = place(items, matrix, items.hidden(drawn))
    off = [code for code, is_off in zip(codes, items.off_scale(means), strict=True) if is_off]
    if off:
        raise ValueError(f"{', '.join(off)}: a profile cannot be answered within the scales: its item means leave them")
    return World(instrument, codes, matrix, means, items.noise, items)


def place(items: ItemModel, profiles: Floats, residuals: Floats) -> Floats:
    """Return item means (C, I) that have these scores (C, M) exactly, off the scale where it cannot express them.

    Where a scale ends, residuals (C, I) give way first and intercepts next, those of linked items alike. If that is not
    enough, an item waits at the end of its scale while the others do more.
    """
    line = items.line(profiles)
    for row in np.flatnonzero(items.off_scale(line)):
        plain = _within(items, line[row] - items.intercepts)
        line[row] = plain if items.off_scale(plain) else items.fit(plain, items.intercepts)
    off = items.off_scale(line)
    return np.where(off[:, None], line, items.fit(line, residuals))


def _within(items: ItemModel, line: Floats) -> Floats:
    """Return item means (I,) of the same scores on the scales; what was given if there are none to be found."""
    weights, means = items.instrument.weights, line
    held = np.zeros(len(line), dtype=np.bool_)
    while items.off_scale(means):
        cut = np.clip(means, items.lowest, items.highest)
        held |= np.abs(means - cut) > INVISIBLE * items.unit
        lacking = weights @ (line - cut)
        free = np.where(held, 0.0, items.unit)
        means = cut + free * (np.linalg.pinv(weights * free) @ lacking)
        if not np.allclose(weights @ means, weights @ line, rtol=0, atol=1e-9):
            return line
    return means

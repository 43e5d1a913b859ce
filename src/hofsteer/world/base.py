"""A small generative model of survey respondents, whose truth is known to the last digit.

The mean answer of country c to item i is `intercept_i + loadings_i . (profile_c - 50) + residual_ci`. Intercepts and
residuals lie in the null space of the scoring weights, so the scores of the means are the profile exactly (with
C = 50), and yet an item has a truth beyond its index.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from hofsteer.instruments.base import Floats, Instrument

MIDPOINT = 50.0  # the score of a respondent whose answers are all neutral, when C = 50
INTERCEPT_RANGE = (1.6, 3.8)  # before the part that the index formulas see is taken out
RESIDUAL_DEVIATION = 0.25
NOISE_RANGE = (0.6, 1.0)  # person noise: width of an answer distribution, in scale steps
MARGIN = 0.1  # a mean stays this far inside the scale

INTERCEPTS, RESIDUALS, NOISE = 1, 2, 3  # random streams


@dataclass(frozen=True, eq=False)
class World:
    """Respondents of C countries who answer one instrument."""

    instrument: Instrument
    codes: tuple[str, ...]  # (C,)
    profiles: Floats  # (C, M), the scores that the countries have, in points
    item_means: Floats  # (C, I), in option values
    noise: Floats  # (I,), width of the answer distributions

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


def make_world(instrument: Instrument, profiles: Mapping[str, Floats], seed: int) -> World:
    """Return a world in which each country's true scores are the given profile (M,), without gaps.

    Raises:
        ValueError: a profile cannot be answered within the scales or has a gap, or an item enters two dimensions.
    """
    weights, values = instrument.weights, instrument.option_values
    if (np.count_nonzero(weights, axis=0) > 1).any():
        raise ValueError(f"want an instrument whose items enter one dimension each, got {instrument.id}")
    to_null = np.eye(weights.shape[1]) - np.linalg.pinv(weights) @ weights
    n_items = len(instrument.items)
    drawn = np.random.default_rng([seed, INTERCEPTS]).uniform(*INTERCEPT_RANGE, size=n_items)
    centre = instrument.neutral + to_null @ (drawn - instrument.neutral)
    lowest, highest = np.nanmin(values, axis=1) + MARGIN, np.nanmax(values, axis=1) - MARGIN
    codes = tuple(profiles)
    matrix = np.stack([profiles[code] for code in codes])
    if not np.isfinite(matrix).all():
        gaps = [code for code, profile in zip(codes, matrix, strict=True) if not np.isfinite(profile).all()]
        raise ValueError(f"want profiles with a score on every dimension, got gaps in {', '.join(gaps)}")
    tilted = centre + (matrix - MIDPOINT) @ np.linalg.pinv(weights).T
    drawn = np.random.default_rng([seed, RESIDUALS]).normal(0.0, RESIDUAL_DEVIATION, size=tilted.shape)
    means = _add_within(tilted, drawn @ to_null, lowest, highest, weights)
    noise = np.random.default_rng([seed, NOISE]).uniform(*NOISE_RANGE, size=n_items)
    return World(instrument, codes, matrix, means, noise)


def answer_distribution(mean: float, noise: float, values: Floats) -> Floats:
    """Return the distribution over option values (K,) with exactly this mean and a normal curve's shape.

    It is the discrete normal p_k ~ exp(t v_k - v_k^2 / (2 noise^2)), where `noise` is the width in option values and t
    is solved for the mean.
    Raises ValueError if the mean is not strictly inside the scale.
    """
    if not values.min() < mean < values.max():
        raise ValueError(f"want a mean strictly inside {values.min():g} to {values.max():g}, got {mean:g}")

    def curve(tilt: float) -> Floats:
        logits = tilt * values - values**2 / (2 * noise**2)
        powers = np.exp(logits - logits.max())
        return np.asarray(powers / powers.sum())

    reach = max(1e3, 100.0 + np.abs(values).max() / noise**2)  # the narrower the curve, the more tilt moves it
    tilt = brentq(lambda t: float(curve(t) @ values - mean), -reach, reach, xtol=1e-14, rtol=1e-14)
    return curve(tilt)


def _add_within(means: Floats, residuals: Floats, lowest: Floats, highest: Floats, weights: Floats) -> Floats:
    """Add null-space residuals, those of a country's dimension shrunk alike until its items stay on the scale.

    Shrinking the items of one dimension by one factor keeps them in the null space, since each item enters one
    dimension.
    """
    if (means <= lowest).any() or (means >= highest).any():
        raise ValueError("a profile cannot be answered within the scales: its item means leave them")
    limits = np.where(residuals > 0, highest, lowest) - means
    room = np.divide(limits, residuals, out=np.full_like(means, np.inf), where=residuals != 0)
    added = np.zeros_like(means)
    for row in weights:
        block = row != 0
        factor = np.minimum(1.0, room[:, block].min(axis=1, keepdims=True))
        added[:, block] = factor * residuals[:, block]
    return means + added

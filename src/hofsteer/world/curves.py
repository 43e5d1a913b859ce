"""Answer distributions: a normal curve over the options of a scale, with exactly the mean that is asked for.

Over option values v_k the probabilities are p_k ~ exp(t v_k - v_k^2 / (2 noise^2)): the discrete normal. `noise` is
its width in option values, and t is solved for the mean. `answer_distribution` solves one item by bracketing;
`AnswerCurves` solves any number of candidates at once, in microseconds each.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hofsteer.instruments.base import Floats

KNOTS = 513  # of the table that a solution starts from
POLISHING = 2  # Newton steps from there: each squares the error, which is about 1e-4 steps at the start


def answer_distribution(mean: float, noise: float, values: Floats) -> Floats:
    """Return the distribution over option values (K,) with exactly this mean and a normal curve's shape.

    Raises ValueError if the mean is not strictly inside the scale.
    """
    from scipy.optimize import brentq

    if not values.min() < mean < values.max():
        raise ValueError(f"want a mean strictly inside {values.min():g} to {values.max():g}, got {mean:g}")

    def curve(tilt: float) -> Floats:
        logits = tilt * values - values**2 / (2 * noise**2)
        powers = np.exp(logits - logits.max())
        return np.asarray(powers / powers.sum())

    reach = max(1e3, 100.0 + np.abs(values).max() / noise**2)  # the narrower the curve, the more tilt moves it
    tilt = brentq(lambda t: float(curve(t) @ values - mean), -reach, reach, xtol=1e-14, rtol=1e-14)
    return curve(tilt)


@dataclass(frozen=True, eq=False)
class AnswerCurves:
    """The answer curves of I items, tabulated between the means that they may have."""

    values: Floats  # (I, K), option values; NaN where an item has fewer options
    noise: Floats  # (I,)
    lowest: Floats  # (I,), least mean
    highest: Floats  # (I,), greatest mean
    tilts: Floats  # (I, KNOTS), t at equally spaced means

    @classmethod
    def tabulate(cls, values: Floats, noise: Floats, lowest: Floats, highest: Floats) -> "AnswerCurves":
        """Return curves for means in [lowest, highest], which must lie strictly inside the scales."""
        reach = np.maximum(1e3, 100.0 + np.nanmax(np.abs(values), axis=1) / noise**2)
        draft = cls(values, noise, lowest, highest, np.empty((len(noise), 0)))
        ends = np.stack([lowest, highest])
        low, high = np.stack([-reach, -reach]), np.stack([reach, reach])
        for _ in range(60):  # bisection: no start is too far
            middle = (low + high) / 2
            under = draft._moments(middle)[0] < ends
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        grid = np.linspace(low[0], high[1], 8 * KNOTS)  # (8 KNOTS, I)
        means = draft._moments(grid)[0]
        wanted = np.linspace(lowest, highest, KNOTS)
        tilts = np.stack([np.interp(wanted[:, i], means[:, i], grid[:, i]) for i in range(len(noise))])
        return cls(values, noise, lowest, highest, tilts)

    def log_probabilities(self, means: Floats) -> Floats:
        """Means (..., I) -> log-probabilities (..., I, K); -inf where an item has fewer options, NaN for NaN.

        A mean outside what was tabulated is cut to it: the scale ends there.
        """
        cut = np.clip(means, self.lowest, self.highest)
        place = (cut - self.lowest) / (self.highest - self.lowest) * (KNOTS - 1)
        knot = np.clip(np.nan_to_num(place), 0, KNOTS - 2).astype(np.intp)
        items = np.arange(len(self.noise))
        tilt = self.tilts[items, knot]
        tilt = tilt + (place - knot) * (self.tilts[items, knot + 1] - tilt)
        for _ in range(POLISHING):
            mean, variance = self._moments(tilt)
            tilt = tilt + (cut - mean) / variance
        logits = self._logits(tilt)
        return np.asarray(logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))

    @cached_property
    def _known(self) -> Floats:
        return np.nan_to_num(self.values)

    @cached_property
    def _curve(self) -> Floats:
        curve = -(self._known**2) / (2 * self.noise[:, None] ** 2)
        return np.where(np.isnan(self.values), -np.inf, curve)

    def _logits(self, tilt: Floats) -> Floats:
        logits = tilt[..., None] * self._known + self._curve
        return np.asarray(logits - logits.max(axis=-1, keepdims=True))

    def _moments(self, tilt: Floats) -> tuple[Floats, Floats]:
        """Return means and variances (..., I) at tilts (..., I)."""
        powers = np.exp(self._logits(tilt))
        weighted = powers * self._known
        total = powers.sum(axis=-1)
        mean = weighted.sum(axis=-1) / total
        return mean, np.einsum("...ik,ik->...i", weighted, self._known) / total - mean**2


def narrowest(means: Floats, values: Floats) -> Floats:
    """Return the distributions (..., I, K) of least variance with these means (..., I): the two nearest values.

    Args:
        means: within the scales.
        values: (I, K), NaN where an item has fewer options; options of one value share alike.
    """
    left, right, alike = np.full(values.shape, -np.inf), np.full(values.shape, np.inf), np.ones(values.shape)
    for i, row in enumerate(values):
        distinct = np.unique(row[~np.isnan(row)])
        for k in np.flatnonzero(~np.isnan(row)):
            at = int(np.searchsorted(distinct, row[k]))
            alike[i, k] = (row == row[k]).sum()
            left[i, k] = distinct[at - 1] if at > 0 else -np.inf
            right[i, k] = distinct[at + 1] if at + 1 < len(distinct) else np.inf
    m = means[..., None]
    with np.errstate(invalid="ignore"):  # beyond an end there is no neighbour
        rising = np.where(np.isinf(left), 1.0, (m - left) / (values - left))
        falling = np.where(np.isinf(right), 1.0, (right - m) / (right - values))
    hats = np.clip(np.minimum(rising, falling), 0.0, 1.0) / alike
    return np.where(np.isnan(values), 0.0, hats)

"""How well a target is known: its noise floor, what is said of n, and how far its sources are apart."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hofsteer.errors import TargetError
from hofsteer.instruments import Instrument
from hofsteer.instruments.base import Floats
from hofsteer.targets.base import Target, alternatives
from hofsteer.targets.reference import index_loss

ASSUMED_N = 50  # respondents; the VSM 94 manual asks for 20 at least, ideally 50; used as a target's own is unknown


@dataclass(frozen=True)
class NoiseFloor:
    """By how many points two samples like the target's differ on average."""

    points: float  # mean over the dimensions that the target has
    n: int | None  # respondents of each sample; None: from the target's own standard errors

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"points": self.points, "n": self.n}


def noise_floor(instrument: Instrument, target: Target) -> NoiseFloor:
    """Return the noise floor from the target's own standard errors, or from a number of respondents.

    That number is Kish's effective one of the target where it is known, and 50 elsewhere. Two samples whose scores have
    standard error s differ by 2 s / sqrt(pi) on average if normal. The errors count only if they are known for every
    dimension that the target has: a mean over some would be of another loss.
    """
    dimensions = instrument.dimension_ids
    compared = ~np.isnan(target.vector(dimensions))
    if not compared.any():
        return NoiseFloor(float("nan"), ASSUMED_N)
    errors = target.error_vector(dimensions)[compared]
    if not np.isnan(errors).any():
        return NoiseFloor(float(2 / np.sqrt(np.pi) * errors.mean()), None)
    n = round(target.n_effective or 0) or ASSUMED_N
    return NoiseFloor(instrument.noise_floor(n, compared=compared), n)


def uncertainty_note(target: Target, digits: int = 1) -> str:
    """Return n and standard errors of a target in one line; what is not known is said to be unknown."""
    n = "unknown" if target.n is None else f"{target.n}"
    effective = "" if target.n_effective is None else f" (effective {target.n_effective:.0f})"
    known = [f"{d} {target.errors[d]:.{digits}f}" if d in target.errors else f"{d} unknown" for d in target.scores]
    return f"respondents: {n}{effective}; standard errors: {', '.join(known) if target.errors else 'unknown'}"


def source_losses(scores: Floats, target: Target, instrument: Instrument) -> dict[str, float]:
    """Return the loss (index points) of scores (M,) to each published row of the target's place, by code.

    Each is taken over the dimensions that its source has. Empty for targets of a user's own and for the map, whose
    sources are different rotations.
    """
    dimensions = instrument.dimension_ids
    goals = {row.code: row.vector(dimensions) for row in _published(target)}
    return {
        code: float(index_loss(scores, goal))
        for code, goal in goals.items()
        if not np.isnan(goal).all() and not np.isnan(scores[~np.isnan(goal)]).any()
    }


def source_spread(target: Target) -> float | None:
    """Return the largest distance between two published rows of the target's place, in points.

    Each pair is compared over the dimensions that both have. None if fewer than two rows can be compared.
    """
    rows = [row.vector(target.dimensions) for row in _published(target)]
    apart = [
        float(np.nanmean(np.abs(a - b)))
        for i, a in enumerate(rows)
        for b in rows[:i]
        if (~np.isnan(a) & ~np.isnan(b)).any()
    ]
    return max(apart, default=None)


def _published(target: Target) -> tuple[Target, ...]:
    if target.kind == "group":
        return ()
    try:
        rows = alternatives(target.code)
    except TargetError:
        return ()
    return rows if rows[0].dimensions == target.dimensions else ()

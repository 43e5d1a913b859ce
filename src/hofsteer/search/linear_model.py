"""A linear model of errors from a few directions: how well it is known, and the steps that leave no error in it.

Sources:
    Gauss-Newton steps on models from samples: Cartis & Roberts 2019, doi:10.1007/s12532-019-00161-7, section 2.
    The damping of a step: Marquardt 1963, doi:10.1137/0111030.

Ours: slopes are the posterior mean of a linear regression with independent normal prior, in which an observation counts
the less the further away it was made and the more noise there is in it. Steps are made for several lengths, dampings
and trusts in what was seen elsewhere; which one is good is for an evaluation to say.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from hofsteer.search.base import Floats

LONGEST = 0.2  # step, in units of the vector
LENGTHS = 4  # that are tried at least, each half of the one before, from the model's own step or the longest
DAMPINGS = (1e-3, 0.1, 1.0)  # in units of the mean square of the singular values of the slopes
TRUSTED = (0.25, 1.0)  # distances at which an observation's error is as large as what it observes
FLAT = 1e-12  # mean square slope below which there is nothing to follow, in units of the errors over a vector's length
DOUBT_BEND = 0.02  # |log error| that bend must explain, for each factor e by which it shortens probes
EXACT, HOPELESS = 1e-3, 100.0  # least and largest blur of an observation


@dataclass(frozen=True, eq=False)
class Observations:
    """Slopes seen along N directions, around a place where K errors are known."""

    directions: Floats  # (N, dim), of length 1
    slopes: Floats  # (N, K), of the errors along them
    distances: Floats  # (N,), from the place where they were seen
    blurs: Floats  # (N,), variance of what noise and bend add to a slope, in units of a slope's mean square


def proposed_steps(seen: Observations, errors: Floats, unit: float, count: int, rng: np.random.Generator) -> Floats:
    """Return up to `count` steps (n, dim) towards no error; none where there is nothing to follow.

    Args:
        seen: what is known of the slopes.
        errors: (K,), here.
        unit: length of the vector, in which lengths and distances are measured.
        count: steps wanted; drawn from those that can be made if these are more.
        rng: of the draw.
    """
    products = seen.directions @ seen.directions.T
    flat = FLAT * float(errors @ errors) / unit**2
    weights: list[Floats] = []  # of the directions, one row a step
    for trusted in TRUSTED:
        variances = (seen.distances / (trusted * unit)) ** 2 + seen.blurs
        shares = np.linalg.solve(products + np.diag(variances), seen.slopes)  # (N, K); slopes = directions' shares
        squares = shares.T @ products @ shares  # (K, K), of the slopes
        mean_square = float(np.trace(squares)) / len(squares)
        if not mean_square > flat or not np.isfinite(squares).all():
            continue
        for damping in DAMPINGS:
            damped = squares + damping * mean_square * np.eye(len(squares))
            weights.append(shares @ np.linalg.solve(damped, -errors))
    if not weights or not errors.any():
        return np.empty((0, seen.directions.shape[1]))
    lengths = np.sqrt([float(weight @ products @ weight) for weight in weights])
    held = np.minimum(1.0, LONGEST * unit / lengths)
    halvings = 0.5 ** np.arange(max(LENGTHS, -(-count // len(weights))))
    tried = [part * hold * weight for part, (weight, hold) in product(halvings, zip(weights, held, strict=True))]
    chosen = np.sort(rng.permutation(len(tried))[:count])
    return np.stack([tried[k] for k in chosen]) @ seen.directions


def blur_of(forth: Floats, back: Floats) -> float:
    """Return the blur that opposite probes show: (pairs, K) changes of the errors each, NaN where one failed.

    `HOPELESS` where there is no slope in them, NaN where no pair was answered.

    One side of a pair changes by slope + bend + noise - noise of the base, the other by -slope + bend + noise - noise
    of the base: half the difference has one half of the noise variance, half the sum three halves of it.
    """
    told = np.isfinite(forth) & np.isfinite(back)
    if not told.any():
        return np.nan
    largest = max(np.abs(forth[told]).max(), np.abs(back[told]).max())
    if not 0 < largest < np.inf:
        return HOPELESS
    forth, back = forth[told] / largest, back[told] / largest
    odd, even = float((((forth - back) / 2) ** 2).mean()), float((((forth + back) / 2) ** 2).mean())
    slope = odd - even / 3
    return float(np.clip(4 / 3 * even / slope, 0, HOPELESS)) if slope > 0 else HOPELESS


def clear_length(lengths: Floats, blurs: Floats, clear: float, otherwise: float) -> float:
    """Return the shortest length of probes whose blur is at most `clear`, or the length of the least blur.

    Blur is noise, which falls with the square of the length, and bend, which rises with it: blur = noise / length^2 +
    bend length^2. Both are fitted to what was measured (N,), by the least mean |log error|, since a few pairs tell a
    blur to a factor; `DOUBT_BEND` makes it all noise where that explains it as well, as at one length. `otherwise` is
    returned where nothing was measured, +inf where no length has shown a slope.
    """
    if not len(lengths):
        return otherwise
    if (blurs == HOPELESS).all():
        return np.inf
    squares = np.geomspace(1e-3, 10, 200)[:, None] ** 2  # of lengths of the least blur, at which both parts are equal
    rests = np.log(np.maximum(EXACT, blurs)) - np.log(squares / lengths**2 + lengths**2 / squares)
    levels = np.median(rests, axis=1, keepdims=True)
    costs = np.abs(rests - levels).mean(axis=1) + DOUBT_BEND * np.maximum(0, -np.log(squares[:, 0]))
    best = costs.argmin()
    noise, bend = np.exp(levels[best, 0]) * squares[best, 0], np.exp(levels[best, 0]) / squares[best, 0]
    room = clear**2 - 4 * noise * bend
    square = 2 * noise / (clear + room**0.5) if room >= 0 else squares[best, 0]
    return float(square**0.5)

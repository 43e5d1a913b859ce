"""Losses between answer distributions, item by item: Wasserstein-1 and the Jensen-Shannon divergence.

Both are means over the items that the target has distributions of, and run from 0 (the same answers) to 100, as index
points do.

    wasserstein      least mean distance by which answers have to move on the item's scale for one distribution to
                     become the other, in hundredths of the scale from its lowest to its highest option value; on a
                     line the area between the cumulative shares (Vallender 1974, doi:10.1137/1118101). 100: all at
                     one end, and all at the other. Never less than the distance of the item means on that scale.
    jensen-shannon   the divergence itself, not its square root, in hundredths of a bit (Lin 1991,
                     doi:10.1109/18.61115). 100: no option in common. It does not know the order of the options.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hofsteer.instruments.base import Floats
from hofsteer.targets.items import ItemGoal

ItemLoss = Literal["wasserstein", "jensen-shannon"]
ITEM_LOSSES: tuple[ItemLoss, ...] = get_args(ItemLoss)
WHOLE = 100.0  # what the largest distance counts


def item_loss(kind: ItemLoss, probabilities: Floats, goal: ItemGoal) -> Floats:
    """Return the mean loss (...) of answer distributions (..., I, K); NaN where one of them is.

    >>> goal = ItemGoal(np.array([[0.5, 0.5, 0.0]]), np.array([80.0]), np.array([[1.0, 2.0, 3.0]]))
    >>> float(item_loss("wasserstein", np.array([[0.5, 0.0, 0.5]]), goal))
    25.0
    >>> float(item_loss("jensen-shannon", np.array([[0.5, 0.0, 0.5]]), goal))
    50.0
    """
    found, asked, values = _known(probabilities, goal)
    if kind == "jensen-shannon":
        middle = (found + asked) / 2
        distances = (_entropy(found, middle) + _entropy(asked, middle)) / 2
    else:
        order, steps = _scale(values)
        distances = (np.abs(_below(found - asked, order)) * steps).sum(axis=-1)
    return np.asarray(WHOLE * distances.mean(axis=-1))


def item_slopes(kind: ItemLoss, probabilities: Floats, goal: ItemGoal) -> Floats:
    """Return the derivatives (I, K) of `item_loss` by probabilities (I, K); 0 at items and options that do not count.

    Where the cumulative shares are equal the Wasserstein distance has a kink; the subgradient 0 is taken.
    """
    found, asked, values = _known(probabilities, goal)
    if kind == "jensen-shannon":
        with np.errstate(divide="ignore", invalid="ignore"):
            by_share = np.where(found > 0, np.log2(2 * found / (found + asked)) / 2, 0.0)
    else:
        order, steps = _scale(values)
        by_step = np.sign(_below(found - asked, order)) * steps  # a share counts in all sums from its own place on
        sums = np.cumsum(by_step[:, ::-1], axis=-1)[:, ::-1]
        by_share = np.zeros(found.shape)
        np.put_along_axis(by_share, order, np.pad(sums, ((0, 0), (0, 1))), axis=-1)
    slopes = np.zeros(goal.shares.shape)
    slopes[goal.known] = np.where(np.isnan(values), 0.0, WHOLE * by_share / len(found))
    return slopes


def item_noise_floor(kind: ItemLoss, goal: ItemGoal) -> float:
    """Return the loss by which two samples like the target's differ on average, to first order in 1 / n.

    Respondents count as drawn independently, so many as Kish's effective n: what clusters cost is not in it. Two
    cumulative shares of expectation F differ by 2 / sqrt(pi) sqrt(F (1 - F) / n) on average; two samples of an item of
    which J options were chosen have an expected divergence of (J - 1) / (4 n ln 2) bits.
    """
    _, shares, values = _known(goal.shares, goal)
    n = goal.n_effective[goal.known]
    if kind == "jensen-shannon":
        floors = ((shares > 0).sum(axis=-1) - 1) / (4 * n * np.log(2))
    else:
        order, steps = _scale(values)
        below = np.clip(_below(shares, order), 0.0, 1.0)
        floors = 2 / np.sqrt(np.pi) * (np.sqrt(below * (1 - below) / n[:, None]) * steps).sum(axis=-1)
    return float(WHOLE * floors.mean())


def item_noise_floors(goal: ItemGoal) -> dict[str, float]:
    """Return the noise floor of each kind of item loss."""
    return {kind: item_noise_floor(kind, goal) for kind in ITEM_LOSSES}


def _known(probabilities: Floats, goal: ItemGoal) -> tuple[Floats, Floats, Floats]:
    """Return probabilities, shares and option values of the items that have shares; 0 at options they have not."""
    values = goal.values[goal.known]
    there = ~np.isnan(values)
    return (
        np.where(there, probabilities[..., goal.known, :], 0.0),
        np.where(there, goal.shares[goal.known], 0.0),
        values,
    )


def _scale(values: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Return the order of the options by value (I, K), and the steps between them as shares of the scale (I, K - 1)."""
    order = np.argsort(values, axis=-1)  # NaN last
    steps = np.nan_to_num(np.diff(np.take_along_axis(values, order, axis=-1)))
    return order, np.asarray(steps / steps.sum(axis=-1, keepdims=True))


def _below(shares: Floats, order: NDArray[np.intp]) -> Floats:
    """Return the sums (..., I, K - 1) of shares (..., I, K) up to each step of the scale."""
    ordered = np.take_along_axis(shares, np.broadcast_to(order, shares.shape), axis=-1)
    return np.asarray(ordered.cumsum(axis=-1)[..., :-1])


def _entropy(shares: Floats, middle: Floats) -> Floats:
    """Return the relative entropy (..., I) of shares to their middle, in bits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = shares * np.log2(shares / middle)
    return np.asarray(np.where(shares == 0, 0.0, terms).sum(axis=-1))

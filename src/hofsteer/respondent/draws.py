"""Draws from answer distributions, with given luck.

The uniforms depend on the seed, the administration, the item and the number of the draw alone: never on the candidate,
so that candidates are compared on the same luck, and never on the generation.
"""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from hofsteer.config import ReadOut
from hofsteer.instruments import Administration
from hofsteer.instruments.base import Floats

DRAWS = 41  # random stream


def uniforms(read_out: ReadOut, administration: Administration, item: int, count: int = 1) -> Floats:
    """Return numbers in [0, 1) for each draw of an item, (draws, count)."""
    form = (
        *(administration.instrument.id, administration.wording, administration.order, administration.labels),
        *(administration.numbering, administration.layout, administration.system, administration.cue),
    )
    key = crc32(repr(form).encode())
    return np.stack(
        [
            np.random.default_rng([read_out.seed, DRAWS, read_out.stream, key, item, draw]).random(count)
            for draw in range(read_out.draws)
        ]
    )


def draw_shares(mass: Floats, administrations: Sequence[Administration], read_out: ReadOut) -> tuple[Floats, Floats]:
    """Return what draws make of the mass of options (P, A, I, K): their shares, and that of no option (P, A, I)."""
    shares, unparsable = np.empty_like(mass), np.empty(mass.shape[:-1])
    for a, administration in enumerate(administrations):
        for i in range(mass.shape[2]):
            taken = draw_options(mass[:, a, i], uniforms(read_out, administration, i)[:, 0])
            shares[:, a, i], unparsable[:, a, i] = shares_of(taken, mass.shape[-1])
    return shares, unparsable


def draw_options(mass: Floats, numbers: Floats) -> NDArray[np.intp]:
    """Return the option (..., D) that each of D uniforms takes from the mass of options (..., K); -1 for none of them.

    >>> draw_options(np.array([0.2, 0.7]), np.array([0.1, 0.2, 0.89, 0.95]))
    array([ 0,  1,  1, -1])
    """
    edges = np.cumsum(mass, axis=-1)[..., None, :]
    taken = (numbers[:, None] >= edges).sum(axis=-1)
    return np.where(taken < mass.shape[-1], taken, -1)


def shares_of(taken: NDArray[np.intp], n_options: int) -> tuple[Floats, Floats]:
    """Return the shares of options (..., K) among the draws (..., D) that took one, and the share that took none.

    The shares are NaN where no draw took an option.

    >>> shares_of(np.array([0, 1, 1, -1]), 2)
    (array([0.33333333, 0.66666667]), array(0.25))
    """
    counts = (taken[..., None] == np.arange(n_options)).sum(axis=-2)
    used = counts.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        shares = counts / used[..., None]
    return np.asarray(shares), np.asarray(1 - used / taken.shape[-1])

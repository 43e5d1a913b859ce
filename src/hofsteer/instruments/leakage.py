"""What a bias that has nothing to do with the questions does to each score of an instrument.

The bias here is one of place: answers move down the list of options as the instrument file has it, by one step of a
five-point scale, which is a quarter of the list on a scale of any other length. A respondent may do so on every item
(uniform) or on the items of one scale alone (block-wise: a model that favors "often" need not favor "agree"). Weights
that sum to zero shut out the first, but not the second unless they sum to zero within every block.

The figures are those of a mean in the middle of its scale, where there is room to move. The mean over both directions
of the scales (`directions`) is free of this bias; a leaning to the same end in both directions leaks as shown here.
"""

from dataclasses import dataclass

import numpy as np

from hofsteer.instruments.base import Floats, Instrument, Item

STEPS = 4  # in the length of a five-point scale


@dataclass(frozen=True, eq=False)
class Leakage:
    """By how many points the scores move if answers move one step down the list."""

    blocks: tuple[str, ...]  # (B,), the scales in order of first use; an item's id where its options are its own
    by_block: Floats  # (B, M), if the answers to the items of that block move
    uniform: Floats  # (M,), if the answers to all items move


def leakage(instrument: Instrument) -> Leakage:
    """Return the leakage of each score, computed from the scales and weights of the instrument alone.

    >>> from hofsteer.instruments import load_instrument
    >>> vsm13 = leakage(load_instrument("vsm13"))
    >>> vsm13.uniform  # every index is made of differences
    array([0., 0., 0., 0., 0., 0.])
    >>> vsm13.by_block[vsm13.blocks.index("agreement")]  # which are not all of items with one scale
    array([-25.,   0.,   0.,   0., -25.,   0.])
    """
    names = [item.id if item.scale is None else item.scale for item in instrument.items]
    blocks = tuple(dict.fromkeys(names))
    member = np.array([[name == block for name in names] for block in blocks], dtype=np.float64)
    steps = np.array([_step(item) for item in instrument.items])
    moved = instrument.weights * steps  # (M, I)
    # adding zero turns -0.0 into 0.0
    return Leakage(blocks, member @ moved.T + 0.0, moved.sum(axis=1) + 0.0)


def _step(item: Item) -> float:
    """Return what a quarter of the list is worth in option values: the least-squares slope, exact if evenly spaced."""
    values = np.array([option.value for option in item.options])
    places = np.linspace(0.0, STEPS, len(values))
    places -= places.mean()
    return float(places @ values / (places @ places))

"""The scale constants C: where the zero of the scores lies.

An index is a weighted sum of differences of item means, plus a constant C of its dimension. Theory does not give C.
The VSM 2013 manual leaves it to the researcher: it is the same for all samples of one study, depends on how they were
drawn, and may be chosen to bring the scores between 0 and 100 or to tie them to published ones (as read by Masoud et
al., arXiv:2309.12342, who cite the manual). Only differences between samples of one study therefore have a meaning; the
score of one sample alone, such as one model, moves with C. So the choice is explicit, fixed before a search, and
recorded with every result.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import TargetError, did_you_mean
from hofsteer.instruments import Instrument

Floats = NDArray[np.float64]

# kind -> (C of every dimension in index points, where it is from)
_UNIFORM = {
    "midpoint": (50.0, "C = 50: neutral answers throughout score 50, as in the code of CulturePark (hofstede_test.py)"),
    "none": (0.0, "C = 0: the weighted sums as they stand, neutral answers throughout score 0"),
}


@dataclass(frozen=True, eq=False)
class Constants:
    """What is added to the weighted sums of an instrument: scores = weights @ item means + values."""

    kind: str  # the policy, as in a config file
    values: Floats  # (M,), index points, in the order of the instrument's dimensions
    source: str  # one line on where the values are from


def load_constants(kind: str, dimensions: Sequence[str]) -> Constants:
    """Return the constants (M,) of a policy that needs no answers: `midpoint` (C = 50) or `none` (C = 0).

    Raises:
        TargetError: `kind` is neither.

    >>> load_constants("midpoint", ["PDI", "IDV"]).values
    array([50., 50.])
    """
    if kind not in _UNIFORM:
        raise TargetError(f"want constants of kind {', '.join(_UNIFORM)}, got {kind!r}{did_you_mean(kind, _UNIFORM)}")
    value, source = _UNIFORM[kind]
    return Constants(kind, np.full(len(dimensions), value), source)


def constants_for(instrument: Instrument, kind: str | None = None) -> Constants:
    """Return the constants (M,) of an instrument; by default `midpoint`, or `none` where it has its own zero.

    Raises:
        TargetError: the kind is unknown, or the instrument has its own zero and takes no constants.
    """
    fixed = instrument.constants == "fixed"
    constants = load_constants(kind if kind is not None else "none" if fixed else "midpoint", instrument.dimension_ids)
    if fixed and constants.kind != "none":
        raise TargetError(f"{instrument.id} has its own zero: want constants none, got {kind!r}")
    return replace(constants, source="C = 0: the instrument has its own zero") if fixed else constants

"""In-context learning: answers to other questions stand before the one that is asked.

The answers are *constructed*: nobody published item means of countries, so they are computed back from the scores. In
every dimension the answers of one respondent are taken whose index is nearest to the published score, and among those
the ones nearest to the mean answers that have the score exactly. Examples of the dimension that is asked are left out,
so what they show is the rest of the profile.
"""

from itertools import product
from math import prod

import numpy as np

from hofsteer.errors import TargetError
from hofsteer.instruments import Instrument
from hofsteer.instruments.base import Dimension, Floats
from hofsteer.targets import Constants, Target

PER_DIMENSION = 2  # examples; with six dimensions ten stand before every question
MOST_ANSWERS = 200_000  # ways to answer the items of a dimension, which are all looked through: seconds


def constructed_examples(
    instrument: Instrument, constants: Constants, target: Target, item_means: Floats
) -> tuple[tuple[str, int], ...]:
    """Return (item id, canonical option index) of the examples, in the order of the instrument.

    Args:
        instrument: what is asked.
        constants: those that the target's scores are compared under.
        target: whose answers they are to be.
        item_means: (I,), mean answers with exactly the target's scores, in option values.

    Raises:
        TargetError: a dimension has too many items to look through all ways to answer them.
    """
    check_examples(instrument, target)
    chosen: dict[str, int] = {}
    for dimension, constant in zip(instrument.dimensions, constants.values, strict=True):
        if dimension.id in target.scores:
            goal = target.scores[dimension.id] - constant
            answers = _nearest_answers(instrument, dimension, goal, item_means)
            chosen |= dict(list(answers.items())[:PER_DIMENSION])
    return tuple((item.id, chosen[item.id]) for item in instrument.items if item.id in chosen)


def check_examples(instrument: Instrument, target: Target) -> None:
    """Raise TargetError if a dimension of the target has too many items to look through all ways to answer them."""
    for dimension in instrument.dimensions:
        ways = prod(len(instrument.item(item_id).options) for item_id, _ in dimension.weights)
        if dimension.id in target.scores and ways > MOST_ANSWERS:
            raise TargetError(
                f"icl wants dimensions with at most {MOST_ANSWERS:,} ways to answer their items, got {ways:,} for "
                f"{dimension.id} of {instrument.id}"
            )


def _nearest_answers(instrument: Instrument, dimension: Dimension, goal: float, item_means: Floats) -> dict[str, int]:
    """Return the option index of each item of a dimension: nearest in the score, then to the mean answers."""
    items = [instrument.item(item_id) for item_id, _ in dimension.weights]
    weights = np.array([weight for _, weight in dimension.weights])
    means = np.array([item_means[instrument.item_ids.index(item.id)] for item in items])
    best: tuple[float, float, tuple[int, ...]] | None = None
    for options in product(*(range(len(item.options)) for item in items)):
        values = np.array([item.options[k].value for item, k in zip(items, options, strict=True)])
        apart = round(abs(float(weights @ values) + dimension.intercept - goal), 9)
        found = (apart, float(np.abs(values - means).sum()), options)
        best = found if best is None else min(best, found)
    assert best is not None
    return dict(zip((item.id for item in items), best[2], strict=True))

"""Both directions of the response scales: asked in either, averaged, and freed of a leaning to one end.

A leaning to a place on the screen, such as to the option shown first, turns round with the scales and so cancels out of
the mean over both directions, on evenly spaced options. A leaning to one end of the scale itself, wherever that end is
shown, does not: it is measured on items without content (`style_indices`) and subtracted.
"""

from dataclasses import dataclass, replace

import numpy as np

from hofsteer.instruments.administration import Administration
from hofsteer.instruments.base import Floats, Instrument


@dataclass(frozen=True, eq=False)
class DirectionScores:
    """The scores of one respondent before and after each step of the correction, each (..., M)."""

    listed: Floats  # options as in the instrument file
    reversed: Floats
    mean: Floats  # over both directions: raw, but free of a leaning to a place
    corrected: Floats  # the mean, less a leaning to one end of the scales


def both_orders(administration: Administration) -> tuple[Administration, Administration]:
    """Return the administration with the options as listed, and with them reversed; nothing else differs.

    >>> from hofsteer.instruments import load_instrument
    >>> [form.order for form in both_orders(Administration(load_instrument("ivs10"), wording=1))]
    ['listed', 'reversed']
    """
    return replace(administration, order="listed"), replace(administration, order="reversed")


def direction_scores(
    instrument: Instrument, listed: Floats, reversed_: Floats, directional: float | Floats = 0.0
) -> DirectionScores:
    """Return the scores in either direction, their mean, and the mean freed of a directional answer style.

    Args:
        instrument: what was asked.
        listed: answer distributions (..., I, K) over canonical options, with the options as listed.
        reversed_: the same with the options reversed.
        directional: the leaning to the higher values (...), in halves of a scale, as `style_indices` measures it.
    """
    first, second = instrument.item_means(listed), instrument.item_means(reversed_)
    mean = (first + second) / 2
    return DirectionScores(
        listed=instrument.score_means(first),
        reversed=instrument.score_means(second),
        mean=instrument.score_means(mean),
        corrected=instrument.score_means(corrected_means(instrument, mean, directional)),
    )


def corrected_means(instrument: Instrument, item_means: Floats, directional: float | Floats) -> Floats:
    """Return item means (..., I) less a leaning (...) to the higher values, in halves of each item's scale.

    The leaning is taken to be as strong on every item. A mean near the end of its scale may come out beyond the end: it
    is not cut, so that the scores stay linear.

    >>> from hofsteer.instruments import load_instrument
    >>> corrected_means(load_instrument("vsm13"), np.full(24, 3.4), directional=0.1)[:2]
    array([3.2, 3.2])
    """
    values = instrument.option_values
    half = (np.nanmax(values, axis=1) - np.nanmin(values, axis=1)) / 2
    return np.asarray(item_means - np.asarray(directional)[..., None] * half)

"""Answer style: what answers have in common whatever is asked.

The concepts are those of the literature on response styles. Net acquiescence, extreme and midpoint responding are among
the seven styles of Baumgartner & Steenkamp (2001), Response Styles in Marketing Research: A Cross-National
Investigation, Journal of Marketing Research 38(2), doi:10.1509/jmkr.38.2.143.18840. That an option gains by being shown
first or last is the response-order effect: in people, Krosnick & Alwin (1987), An Evaluation of a Cognitive Theory of
Response-Order Effects in Survey Measurement, Public Opinion Quarterly 51(2); in language models, where it can outweigh
the content, Dominguez-Olmedo, Hardt & Mendler-Dünner, arXiv 2306.07951. The formulas are our own: they read whole
answer distributions, and are 0 for even answers.

On `style12`, whose items have no content, the indices describe the respondent; compare them between two prompts rather
than with 0. On other instruments they mix style and content.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import InstrumentError
from hofsteer.instruments.base import Floats, Instrument


@dataclass(frozen=True)
class StyleIndices:
    """Four indices of answer style, each 0 for answers spread evenly over the options; NaN if it cannot be measured.

    `directional` and `position` are in halves of a scale: times (K - 1) / 2 they are steps of a scale with K options.
    On five options 0.15 is thus 0.3 steps.
    """

    directional: float  # -1 = always the lowest value, +1 = always the highest
    extreme: float  # +1 = end options only; without them negative, down to -2 / (K - 2)
    midpoint: float  # +1 = middle options only; without them negative, down to -1 / (K - 1)
    position: float  # -1 = always the option shown first, +1 = always the one shown last


def style_indices(listed: Floats, reversed_: Floats, instrument: Instrument) -> StyleIndices:
    """Return the answer style in two administrations that differ in the order of the options alone.

    Item i has options k = 0 .. K-1 with values v_k and neutral point n (the middle of its scale). Its options get the
    shares l_k as listed and r_k reversed, on average p_k = (l_k + r_k) / 2. Then, averaged over items,

        directional = sum_k p_k (v_k - n) / h        with h = (largest v - smallest v) / 2
        extreme     = (sum of p_k at the ends - e / K) / (1 - e / K)    with e options of smallest or largest value
        midpoint    = (p at the middle option - 1 / K) / (1 - 1 / K)    with k = (K - 1) / 2 the middle option
        position    = sum_k (l_k - r_k) / 2 * (2 k / (K - 1) - 1)

    Position takes the place where an option was *shown*, k as listed and K - 1 - k reversed. So a leaning to a value
    cancels out of it, and a leaning to a place out of the directional index: always the first option gives position -1
    and directional 0, always the lowest value position 0 and directional -1. Extreme does not tell the two apart. Items
    with an even number of options have no middle one and do not enter midpoint; items with end options only do not
    enter extreme.

    Args:
        listed: shares (I, K) with the options shown as in the instrument file.
        reversed_: shares (I, K) with the options shown in reverse, over *canonical* options like `listed`. In both,
            those of an item sum to 1, what stands at padded options is not read, and NaN (missing) makes the indices
            NaN that it enters.
        instrument: what was asked. Option values must be evenly spaced for even answers to have directional 0.

    Raises:
        InstrumentError: the shares have another shape than the instrument.

    >>> from hofsteer.instruments import load_instrument
    >>> style12 = load_instrument("style12")
    >>> first, last = np.zeros((2, *style12.option_values.shape))
    >>> first[:, 0] = 1.0  # the first option, as listed
    >>> for i, item in enumerate(style12.items):
    ...     last[i, len(item.options) - 1] = 1.0  # and the first shown when reversed, the last of the file
    >>> style_indices(first, last, style12)
    StyleIndices(directional=0.0, extreme=1.0, midpoint=-0.25, position=-1.0)
    """
    return _indices(listed, reversed_, instrument, np.arange(len(instrument.items)))


def style_by_scale(listed: Floats, reversed_: Floats, instrument: Instrument) -> dict[str, StyleIndices]:
    """Return `style_indices` of the items of each scale, by its name in the instrument file.

    An item whose options are its own stands under its id.
    """
    scales = np.array([item.scale or item.id for item in instrument.items])
    return {
        str(scale): _indices(listed, reversed_, instrument, np.flatnonzero(scales == scale))
        for scale in dict.fromkeys(scales.tolist())
    }


def _indices(listed: Floats, reversed_: Floats, instrument: Instrument, rows: NDArray[np.intp]) -> StyleIndices:
    """Return the indices over the items at `rows`."""
    values = instrument.option_values
    for order, shares in (("listed", listed), ("reversed", reversed_)):
        if shares.shape != values.shape:
            raise InstrumentError(f"want shares {values.shape} of the options as {order}, got {shares.shape}")
    values, mask, neutral = values[rows], instrument.option_mask[rows], instrument.neutral_means[rows, None]
    pooled = np.where(mask, listed[rows] + reversed_[rows], 0.0) / 2
    swing = np.where(mask, listed[rows] - reversed_[rows], 0.0) / 2
    lowest, highest = np.nanmin(values, axis=1, keepdims=True), np.nanmax(values, axis=1, keepdims=True)
    last = mask.sum(axis=1, keepdims=True) - 1  # K - 1
    k = np.arange(values.shape[1])
    return StyleIndices(
        directional=float((pooled * np.where(mask, (values - neutral) / ((highest - lowest) / 2), 0.0)).sum(1).mean()),
        extreme=_surplus(pooled, mask, (values == lowest) | (values == highest)),
        midpoint=_surplus(pooled, mask, 2 * k == last),
        position=float((swing * (2 * k / last - 1)).sum(axis=1).mean()),
    )


def _surplus(shares: Floats, mask: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> float:
    """Return what the chosen options have beyond their even share, 1 if they have all: the mean over items.

    Items of which no option is chosen, or every one, do not enter; NaN if none does.
    """
    even = (chosen & mask).sum(axis=1) / mask.sum(axis=1)
    usable = (even > 0) & (even < 1)
    if not usable.any():
        return float("nan")
    found = np.where(chosen & mask, shares, 0.0).sum(axis=1)
    return float(((found - even)[usable] / (1 - even)[usable]).mean())

"""Shares of right answers: intervals and tests whose unit is the question."""

import numpy as np

BESIDE = 1e-9


def wilson(right: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the score interval (Wilson 1927) of a share.

    >>> low, high = wilson(8, 10)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    from scipy.stats import binomtest

    interval = binomtest(right, n).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(lost: int, gained: int) -> float:
    """Return the exact two-sided p-value (McNemar 1947) of as many lost as gained; 1 where nothing changed.

    >>> mcnemar(lost=7, gained=1)
    0.0703125
    """
    from scipy.stats import binomtest

    return float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def share_lost_bounds(lost: int, gained: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return one-sided bounds of (lost - gained) / n, the difference of two shares of the same n questions.

    The score interval of Tango 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B: the
    differences that a score test does not refuse. It keeps its width where nothing changed, as a t interval does not.

    >>> low, high = share_lost_bounds(0, 0, 10)
    >>> round(low, 3), round(high, 3)
    (-0.213, 0.213)
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.ppf(level))
    found = (lost - gained) / n

    def excess(difference: float, side: float) -> float:
        return side * (lost - gained - n * difference) - z * _score_deviation(difference, lost, gained, n)

    # beside `found`, not at it: where all questions went one way, the deviation is 0 there and the excess too
    lower = -1.0 if excess(-1.0, 1) <= 0 else brentq(excess, -1.0, found - BESIDE, args=(1,))
    upper = 1.0 if excess(1.0, -1) <= 0 else brentq(excess, found + BESIDE, 1.0, args=(-1,))
    return float(lower), float(upper)


def _score_deviation(difference: float, lost: int, gained: int, n: int) -> float:
    """Return the deviation of lost - gained if the shares differ by this much, the rest at its likeliest."""
    b = (2 * n - lost + gained) * difference - lost - gained
    c = -gained * difference * (1 - difference)
    gains = (np.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)  # the likeliest share of questions gained
    return float(np.sqrt(max(0.0, n * (2 * gains + difference * (1 - difference)))))

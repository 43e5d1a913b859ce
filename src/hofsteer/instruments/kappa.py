"""Agreement on categories beyond chance: Cohen's kappa for a pair of raters, Fleiss' for any number of them."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence

from hofsteer.instruments.base import Floats


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Return (observed - expected) / (1 - expected) agreement of two raters over the same items.

    Cohen (1960), A coefficient of agreement for nominal scales, eq. 1, doi:10.1177/001316446002000104. NaN without an
    item, and where both raters use one and the same category throughout: agreement by chance is then complete.

    >>> round(cohen_kappa(["dog", "cat", "cat", "cat"], ["dog", "dog", "cat", "cat"]), 9)
    0.5
    """
    n = len(first)
    pairs = zip(first, second, strict=True)
    observed = sum(a == b for a, b in pairs)  # items, not shares: whole numbers are exact
    in_second = Counter(second)
    expected = sum(count * in_second[category] for category, count in Counter(first).items())
    return (observed * n - expected) / (n * n - expected) if expected < n * n else math.nan


def fleiss_kappa(counts: Floats) -> float:
    """Return the kappa of n raters who each put all N items into one of k categories.

    Fleiss (1971), Measuring nominal scale agreement among many raters, eq. 7, doi:10.1037/h0031619. For one category
    against all the others, join the others into one column. With two raters it is Scott's pi, not Cohen's kappa.

    Args:
        counts: (N, k), how many raters put the item into the category; each row sums to n, at least 2.

    Returns:
        Kappa; NaN without an item, and where all raters use one category throughout.

    >>> import numpy as np
    >>> fleiss_kappa(np.array([[3.0, 0.0], [0.0, 3.0]]))
    1.0
    """
    if not len(counts):
        return math.nan
    raters = counts[0].sum()
    if raters < 2 or (counts.sum(axis=1) != raters).any():
        raise ValueError(f"want the same number of raters, two or more, for every item, got {counts.sum(axis=1)}")
    observed = ((counts**2).sum() / (len(counts) * raters) - 1) / (raters - 1)  # mean share of agreeing pairs
    expected = ((counts.sum(axis=0) / counts.sum()) ** 2).sum()
    return float((observed - expected) / (1 - expected)) if expected < 1 else math.nan

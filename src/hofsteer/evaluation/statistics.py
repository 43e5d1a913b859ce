"""Intervals and tests whose unit is the search seed: items are fixed, seeds and administrations are drawn.

A soft prompt is one draw of a search; another seed would have given another. So is a wording. What was asked, the
items, is the same for everybody and adds no uncertainty. Below `LEAST_SEEDS` there is no interval: a percentile
bootstrap of three seeds covers 73 %, where the t interval keeps its 95 %.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_SEEDS = 3  # for an interval


@dataclass(frozen=True)
class Mean:
    """A mean with what is known of its error."""

    value: float
    standard_error: float | None  # None with fewer than `LEAST_SEEDS`
    degrees_of_freedom: float | None
    n: int  # seeds

    def bounds(self, level: float = 0.95) -> tuple[float, float]:
        """Return the two-sided t interval; (-inf, inf) where there is none.

        >>> low, high = mean_over_seeds(np.array([1.0, 2.0, 3.0])).bounds()
        >>> round(low, 2), round(high, 2)
        (-0.48, 4.48)
        """
        return self.lower(0.5 + level / 2), self.upper(0.5 + level / 2)

    def lower(self, level: float = 0.95) -> float:
        """Return the one-sided lower bound at this level; -inf where there is none."""
        return self.value - self._reach(level)

    def upper(self, level: float = 0.95) -> float:
        """Return the one-sided upper bound at this level; +inf where there is none."""
        return self.value + self._reach(level)

    def p_value(self, above: bool = False) -> float | None:
        """Return the p-value of the t test that the mean is 0, two-sided, or one-sided against being above 0.

        None where there is no interval. Without any spread it is 0, or 1 where the mean shows nothing.

        >>> round(mean_over_seeds(np.array([1.0, 2.0, 3.0])).p_value(), 3)
        0.074
        """
        from scipy.stats import t

        if self.standard_error is None or self.degrees_of_freedom is None:
            return None
        side = self.value if above else abs(self.value)
        if self.standard_error == 0:
            return 0.0 if side > 0 else 1.0
        share = float(t.sf(side / self.standard_error, self.degrees_of_freedom))
        return share if above else 2 * share

    def _reach(self, level: float) -> float:
        from scipy.stats import t

        if self.standard_error is None or self.degrees_of_freedom is None:
            return float("inf")
        if self.standard_error == 0:
            return 0.0
        return float(t.ppf(level, self.degrees_of_freedom) * self.standard_error)


def mean_over_seeds(values: Floats) -> Mean:
    """Return the mean of one number a seed (S,), with its t interval of S - 1 degrees of freedom."""
    n = len(values)
    error = float(values.std(ddof=1) / np.sqrt(n)) if n >= LEAST_SEEDS else None
    return Mean(float(values.mean()), error, None if error is None else float(n - 1), n)


@dataclass(frozen=True)
class Components:
    """Variance components of a table of seeds x forms without replication; negative estimates are cut to 0."""

    seeds: float
    forms: float
    rest: float  # interaction and error, which one value a cell cannot tell apart


def components(table: Floats) -> Components:
    """Return the variance components of (S, F) by the expected mean squares of a two-way random design.

    Searle, Casella & McCulloch 1992, Variance Components, section 4.3: E MS_seeds = rest + F seeds, E MS_forms = rest +
    S forms.
    """
    between_seeds, between_forms, rest = _mean_squares(table)
    n_seeds, n_forms = table.shape
    return Components(max(0.0, (between_seeds - rest) / n_forms), max(0.0, (between_forms - rest) / n_seeds), rest)


def mean_over_seeds_and_forms(table: Floats) -> Mean:
    """Return the mean of a table (S, F) for new seeds *and* new forms, both drawn.

    Its variance is (MS_seeds + MS_forms - MS_rest) / (S F) (`components`), with degrees of freedom by Satterthwaite
    1946 over the mean squares, no more than the facets' own together. Where the forms seem to add nothing, that of the
    seeds alone stands, MS_seeds / (S F) with S - 1: the interval is never narrower for taking the forms in. With one
    form alone it is that of `mean_over_seeds`.
    """
    n_seeds, n_forms = table.shape
    if n_seeds < LEAST_SEEDS or n_forms < 2:
        return mean_over_seeds(table.mean(axis=1))
    between_seeds, between_forms, rest = _mean_squares(table)
    df_seeds, df_forms, df_rest = n_seeds - 1, n_forms - 1, (n_seeds - 1) * (n_forms - 1)
    variance, df = between_seeds, float(df_seeds)
    if between_forms > rest:
        variance = between_seeds + between_forms - rest
        spread = between_seeds**2 / df_seeds + between_forms**2 / df_forms + rest**2 / df_rest
        df = max(1.0, min(variance**2 / spread, float(df_seeds + df_forms)))
    return Mean(float(table.mean()), float(np.sqrt(variance / table.size)), df, n_seeds)


def seeds_needed(mean: Mean, margin: float, power: float = 0.8, level: float = 0.95, most: int = 1000) -> int | None:
    """Return how many seeds a one-sided t test needs to tell this mean from a margin; None if more than `most`.

    By the noncentral t distribution, the mean and its deviation over seeds taken to be as they were measured.

    >>> seeds_needed(Mean(0.3, 0.1 / 5**0.5, 4.0, 5), margin=0.2)
    8
    """
    from scipy.stats import nct, t

    if mean.standard_error is None:
        return None
    deviation, apart = mean.standard_error * np.sqrt(mean.n), abs(mean.value - margin)
    if deviation == 0:
        return LEAST_SEEDS
    for n in range(LEAST_SEEDS, most + 1):
        if nct.sf(t.ppf(level, n - 1), n - 1, apart * np.sqrt(n) / deviation) >= power:
            return n
    return None


def rank_p_value(value: float, controls: Floats) -> float:
    """Return the share of values that are at least as large, the tested one among them: (1 + exceeding) / (1 + K).

    Phipson & Smyth 2010, doi:10.2202/1544-6115.1585: it cannot be 0.

    >>> rank_p_value(0.9, np.array([0.1, 0.2, 0.95]))
    0.5
    """
    return float((1 + np.sum(controls >= value)) / (1 + len(controls)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for the claim that any of them holds (Holm 1979), by name.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    names = sorted(p_values, key=lambda name: p_values[name])
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(names):
        largest = max(largest, min(1.0, round((len(names) - rank) * p_values[name], 15)))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def benjamini_hochberg(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for the rate of false discoveries among many countries, by name.

    Benjamini & Hochberg 1995, as scipy has it.
    """
    from scipy.stats import false_discovery_control

    adjusted: Iterable[float] = false_discovery_control(list(p_values.values()), method="bh") if p_values else []
    return dict(zip(p_values, map(float, adjusted), strict=True))


def _mean_squares(table: Floats) -> tuple[float, float, float]:
    n_seeds, n_forms = table.shape
    rows, columns, mean = table.mean(axis=1), table.mean(axis=0), table.mean()
    rest = table - rows[:, None] - columns[None] + mean
    return (
        float(n_forms * ((rows - mean) ** 2).sum() / (n_seeds - 1)),
        float(n_seeds * ((columns - mean) ** 2).sum() / (n_forms - 1)),
        float((rest**2).sum() / ((n_seeds - 1) * (n_forms - 1))),
    )

"""Intervals and tests whose unit is the search seed: items are fixed, seeds and wordings are drawn.

A soft prompt is one draw of a search; another seed would have given another. So is a wording. What was asked, the
items, is the same for everybody and adds no uncertainty, and neither do the orders, numberings and labels in which all
wordings are put: forms of one wording are one draw (`by_wording`). Below `LEAST_SEEDS` there is no interval: a
percentile bootstrap of three seeds covers 73 %, where the t interval keeps its 95 %.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_SEEDS = 3  # for an interval


@dataclass(frozen=True)
class Components:
    """Variance components of a table of seeds x wordings without replication; negative estimates are cut to 0."""

    seeds: float
    wordings: float
    rest: float  # interaction and error, which one value a cell cannot tell apart


@dataclass(frozen=True)
class Mean:
    """A mean with what is known of its error."""

    value: float
    standard_error: float | None  # None with fewer than `LEAST_SEEDS`
    degrees_of_freedom: float | None
    n: int  # seeds
    alone: tuple[tuple[float, float], ...] = ()  # standard error and degrees of freedom over each of two facets alone
    components: Components | None = None  # of two facets
    n_wordings: int = 1

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

        if not self._errors:
            return None
        side = self.value if above else abs(self.value)
        shares = [t.sf(side / error, df) if error else float(side <= 0) for error, df in self._errors]
        return min(1.0, float(max(shares)) * (1 if above else 2))

    @property
    def widest(self) -> tuple[float, float] | None:
        """Standard error and degrees of freedom of the 95 % interval; None where there is none."""
        from scipy.stats import t

        return max(self._errors, key=lambda one: float(t.ppf(0.975, one[1]) * one[0]), default=None)

    @property
    def _errors(self) -> tuple[tuple[float, float], ...]:
        """Standard errors and degrees of freedom; the interval is the widest that they give."""
        if self.standard_error is None or self.degrees_of_freedom is None:
            return ()
        return ((self.standard_error, self.degrees_of_freedom), *self.alone)

    def _reach(self, level: float) -> float:
        from scipy.stats import t

        return max((float(t.ppf(level, df) * error) for error, df in self._errors), default=float("inf"))


def mean_over_seeds(values: Floats) -> Mean:
    """Return the mean of one number a seed (S,), with its t interval of S - 1 degrees of freedom."""
    n = len(values)
    error = float(values.std(ddof=1) / np.sqrt(n)) if n >= LEAST_SEEDS else None
    return Mean(float(values.mean()), error, None if error is None else float(n - 1), n)


def by_wording(values: Floats, wordings: Sequence[int]) -> Floats:
    """Return the means (..., W) of values (..., F) over the forms of each wording, in the order in which they come.

    >>> by_wording(np.array([1.0, 3.0, 10.0, 20.0]), [2, 2, 3, 3])
    array([ 2., 15.])
    """
    drawn = np.array(wordings)
    return np.stack([values[..., drawn == one].mean(axis=-1) for one in dict.fromkeys(wordings)], axis=-1)


def components(table: Floats) -> Components:
    """Return the variance components of (S, W) by the expected mean squares of a two-way random design.

    Searle, Casella & McCulloch 1992, Variance Components, section 4.3: E MS_seeds = rest + W seeds, E MS_wordings =
    rest + S wordings.
    """
    between_seeds, between_wordings, rest = _mean_squares(table)
    n_seeds, n_wordings = table.shape
    return Components(
        max(0.0, (between_seeds - rest) / n_wordings), max(0.0, (between_wordings - rest) / n_seeds), rest
    )


def mean_over_seeds_and_wordings(table: Floats) -> Mean:
    """Return the mean of a table (S, W) for new seeds *and* new wordings, both drawn.

    Its variance is (MS_seeds + MS_wordings - MS_rest) / (S W) (`components`), with degrees of freedom by Satterthwaite
    1946 over the mean squares, no more than the facets' own together; where the wordings seem to add nothing, that of
    the seeds. The interval is never narrower than that of the means of seeds alone or of wordings alone, which stand
    beside it: of two or three wordings Satterthwaite's is too narrow, down to 89 % (docs/evaluation.md). With one
    wording it is that of `mean_over_seeds`, and says nothing of others.
    """
    n_seeds, n_wordings = table.shape
    if n_seeds < LEAST_SEEDS or n_wordings < 2:
        return mean_over_seeds(table.mean(axis=1))
    error, df = _satterthwaite(*_mean_squares(table), n_seeds, n_wordings)
    alone = [(float(means.std(ddof=1) / np.sqrt(len(means))), len(means) - 1.0) for means in _margins(table)]
    return Mean(float(table.mean()), error, df, n_seeds, tuple(alone), components(table), n_wordings)


def seeds_needed(mean: Mean, margin: float, power: float = 0.8, level: float = 0.95, most: int = 1000) -> int | None:
    """Return how many seeds a one-sided t test needs to tell this mean from a margin; None if more than `most`.

    The mean and its variance are taken to be as they were measured. Over seeds alone by the noncentral t distribution;
    over seeds and the same wordings by the interval of the mean squares that are to be expected, since no number of
    seeds makes the variance between wordings smaller.

    >>> seeds_needed(Mean(0.3, 0.1 / 5**0.5, 4.0, 5), margin=0.2)
    8
    """
    from scipy.stats import nct, norm, t

    if mean.standard_error is None:
        return None
    apart = abs(mean.value - margin)
    if (parts := mean.components) is not None:
        many = mean.n_wordings
        if apart <= t.ppf(level, many - 1) * np.sqrt(parts.wordings / many):  # what no number of seeds gets below
            return None
        luck = norm.ppf(power) * np.sqrt(parts.seeds + parts.rest / many)  # of the mean of one seed, in these wordings
        numbers = range(LEAST_SEEDS, most + 1)
        return next((n for n in numbers if apart >= _expected(mean, n)._reach(level) + luck / np.sqrt(n)), None)
    deviation = mean.standard_error * np.sqrt(mean.n)
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


def _satterthwaite(
    between_seeds: float, between_wordings: float, rest: float, n_seeds: int, n_wordings: int
) -> tuple[float, float]:
    """Return standard error and degrees of freedom of the mean of a table, from its mean squares."""
    df_seeds, df_wordings, df_rest = n_seeds - 1, n_wordings - 1, (n_seeds - 1) * (n_wordings - 1)
    variance, df = between_seeds, float(df_seeds)
    if between_wordings > rest:
        variance = between_seeds + between_wordings - rest
        spread = between_seeds**2 / df_seeds + between_wordings**2 / df_wordings + rest**2 / df_rest
        df = max(1.0, min(variance**2 / spread, float(df_seeds + df_wordings)))
    return float(np.sqrt(variance / (n_seeds * n_wordings))), df


def _expected(mean: Mean, n_seeds: int) -> Mean:
    """Return a mean with the errors to be expected from so many seeds and the same number of wordings."""
    parts, n_wordings = mean.components, mean.n_wordings
    assert parts is not None
    between_seeds, between_wordings = parts.rest + n_wordings * parts.seeds, parts.rest + n_seeds * parts.wordings
    error, df = _satterthwaite(between_seeds, between_wordings, parts.rest, n_seeds, n_wordings)
    size = n_seeds * n_wordings
    alone = (np.sqrt(between_seeds / size), n_seeds - 1.0), (np.sqrt(between_wordings / size), n_wordings - 1.0)
    return Mean(mean.value, error, df, n_seeds, alone)


def _margins(table: Floats) -> tuple[Floats, Floats]:
    return table.mean(axis=1), table.mean(axis=0)


def _mean_squares(table: Floats) -> tuple[float, float, float]:
    n_seeds, n_wordings = table.shape
    (rows, columns), mean = _margins(table), table.mean()
    rest = table - rows[:, None] - columns[None] + mean
    return (
        float(n_wordings * ((rows - mean) ** 2).sum() / (n_seeds - 1)),
        float(n_seeds * ((columns - mean) ** 2).sum() / (n_wordings - 1)),
        float((rest**2).sum() / ((n_seeds - 1) * (n_wordings - 1))),
    )

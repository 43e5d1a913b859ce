"""Intervals cover what they say, and agree with scipy and statsmodels."""

import numpy as np
import pytest
from scipy import stats

from hofsteer.evaluation.statistics import (
    LEAST_SEEDS,
    Mean,
    benjamini_hochberg,
    components,
    holm,
    mean_over_seeds,
    mean_over_seeds_and_forms,
    rank_p_value,
    seeds_needed,
)

REPETITIONS = 1000


def drawn(rng, n_seeds, n_forms, seeds, forms, rest):
    """A table of seeds x forms about 5 with these deviations."""
    return (
        5
        + rng.normal(0, seeds, (n_seeds, 1))
        + rng.normal(0, forms, (1, n_forms))
        + rng.normal(0, rest, (n_seeds, n_forms))
    )


def test_t_interval_is_scipys():
    values = np.array([3.0, 1.5, 2.2, 4.1, 2.9])
    low, high = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert mean_over_seeds(values).bounds() == pytest.approx((low, high), rel=1e-12)
    one_sided = stats.ttest_1samp(values, 0, alternative="greater").confidence_interval(0.95).low
    assert mean_over_seeds(values).lower() == pytest.approx(one_sided, rel=1e-12)


@pytest.mark.parametrize("n", range(1, LEAST_SEEDS))
def test_too_few_seeds_have_no_interval(n):
    mean = mean_over_seeds(np.arange(float(n)))
    assert mean.standard_error is None
    assert mean.bounds() == (-np.inf, np.inf)
    assert mean_over_seeds_and_forms(np.ones((n, 4))).bounds() == (-np.inf, np.inf)


@pytest.mark.parametrize("n_seeds", [5, 10])
@pytest.mark.parametrize("deviations", [(1.0, 0.0, 1.0), (0.5, 1.0, 0.7), (1.0, 0.2, 0.3)], ids=str)
@pytest.mark.parametrize("n_forms", [1, 4, 8])
def test_95_percent_intervals_cover_the_truth(n_seeds, n_forms, deviations):
    """New seeds and new forms: 93 to 97 % of 1,000 repetitions."""
    seeds, forms, rest = deviations
    rng = np.random.default_rng([n_seeds, n_forms, 2027])
    hits = 0
    for _ in range(REPETITIONS):
        table = drawn(rng, n_seeds, n_forms, seeds, forms if n_forms > 1 else 0.0, rest)
        low, high = mean_over_seeds_and_forms(table).bounds()
        hits += low <= 5 <= high
    assert 0.93 <= hits / REPETITIONS <= 0.97


@pytest.mark.parametrize("deviations", [(0.2, 0.2, 1.0), (1.0, 0.5, 1.0)], ids=str)
def test_where_the_facets_are_hard_to_tell_from_noise_it_is_wider_and_never_too_narrow(deviations):
    rng = np.random.default_rng([5, 4, 7])
    hits = 0
    for _ in range(REPETITIONS):
        low, high = mean_over_seeds_and_forms(drawn(rng, 5, 4, *deviations)).bounds()
        hits += low <= 5 <= high
    assert 0.93 <= hits / REPETITIONS <= 0.985


def test_seeds_alone_would_not_cover_new_forms():
    """The interval that ignores the forms' variance misses far more often: the test above can fail."""
    rng = np.random.default_rng([10, 4, 11])
    tables = [drawn(rng, 10, 4, 0.3, 1.0, 0.3) for _ in range(300)]
    hits = [low <= 5 <= high for low, high in (mean_over_seeds(table.mean(axis=1)).bounds() for table in tables)]
    assert np.mean(hits) < 0.6


def test_components_are_those_of_an_analysis_of_variance():
    """Balanced two-way table without replication: statsmodels' ANOVA gives the mean squares."""
    sm = pytest.importorskip("statsmodels.formula.api", reason="statsmodels is not installed")
    anova = pytest.importorskip("statsmodels.stats.anova", reason="statsmodels is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = drawn(np.random.default_rng([3, 1]), 6, 5, 1.0, 0.7, 0.4)
    frame = pandas.DataFrame([{"y": table[s, f], "s": f"s{s}", "f": f"f{f}"} for s in range(6) for f in range(5)])
    squares = anova.anova_lm(sm.ols("y ~ C(s) + C(f)", frame).fit())["mean_sq"]
    found = components(table)
    assert found.rest == pytest.approx(squares["Residual"], rel=1e-9)
    assert found.seeds == pytest.approx((squares["C(s)"] - squares["Residual"]) / 5, rel=1e-9)
    assert found.forms == pytest.approx((squares["C(f)"] - squares["Residual"]) / 6, rel=1e-9)


def test_seeds_needed_have_the_power():
    """As many seeds as it says reach 80 %, one fewer does not (simulated)."""
    measured = Mean(0.2, 0.1 / np.sqrt(5), 4.0, 5)
    n = seeds_needed(measured, margin=0.1)
    rng = np.random.default_rng([8, 8])
    power = {}
    for size in (n - 2, n):
        draws = rng.normal(0.2, 0.1, (4000, size))
        power[size] = np.mean(stats.ttest_1samp(draws, 0.1, axis=1, alternative="greater").pvalue < 0.05)
    assert power[n] > 0.78
    assert power[n - 2] < 0.8
    assert seeds_needed(Mean(0.1, 0.1, 4.0, 5), margin=0.1) is None  # no number of seeds tells a mean from itself
    assert seeds_needed(Mean(0.3, 0.0, 4.0, 5), margin=0.1) == LEAST_SEEDS


def test_adjusted_p_values_are_those_of_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    names = [f"c{i}" for i in range(12)]
    p = dict(zip(names, np.random.default_rng([2, 2]).uniform(size=12) ** 3, strict=True))
    for mine, method in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        wanted = multitest.multipletests(list(p.values()), method=method)[1]
        assert list(mine(p).values()) == pytest.approx(list(wanted), rel=1e-9)
        assert list(mine(p)) == names
    assert benjamini_hochberg({}) == holm({}) == {}


def test_rank_p_values_are_uniform_when_nothing_is_there():
    rng = np.random.default_rng([4, 4])
    p = np.array([rank_p_value(value, controls) for value, *controls in rng.normal(size=(4000, 40))])
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.012)
    assert p.min() >= 1 / 40

"""Intervals cover what they say, and agree with scipy and statsmodels."""

import numpy as np
import pytest
from scipy import stats

from hofsteer.evaluation.statistics import (
    LEAST_SEEDS,
    Mean,
    benjamini_hochberg,
    by_wording,
    components,
    holm,
    mean_over_seeds,
    mean_over_seeds_and_wordings,
    rank_p_value,
    seeds_needed,
)

REPETITIONS = 1000


def drawn(rng, n_seeds, n_wordings, seeds, wordings, rest):
    """A table of seeds x wordings about 5 with these deviations."""
    return (
        5
        + rng.normal(0, seeds, (n_seeds, 1))
        + rng.normal(0, wordings, (1, n_wordings))
        + rng.normal(0, rest, (n_seeds, n_wordings))
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
    assert mean_over_seeds_and_wordings(np.ones((n, 4))).bounds() == (-np.inf, np.inf)


@pytest.mark.parametrize("n_seeds", [5, 10])
@pytest.mark.parametrize("deviations", [(1.0, 0.0, 1.0), (0.5, 1.0, 0.7), (1.0, 0.2, 0.3)], ids=str)
@pytest.mark.parametrize("n_wordings", [1, 6, 8])
def test_95_percent_intervals_cover_the_truth(n_seeds, n_wordings, deviations):
    """New seeds and new wordings: 93 to 97 % of 1,000 repetitions."""
    seeds, wordings, rest = deviations
    rng = np.random.default_rng([n_seeds, n_wordings, 2027])
    hits = 0
    for _ in range(REPETITIONS):
        table = drawn(rng, n_seeds, n_wordings, seeds, wordings if n_wordings > 1 else 0.0, rest)
        low, high = mean_over_seeds_and_wordings(table).bounds()
        hits += low <= 5 <= high
    assert 0.93 <= hits / REPETITIONS <= 0.97


@pytest.mark.parametrize("n_seeds", [3, 10])
@pytest.mark.parametrize("n_wordings", [2, 3, 6])
@pytest.mark.parametrize(
    "deviations", [(0.2, 0.2, 1.0), (1.0, 0.5, 1.0), (0.3, 1.0, 0.3), (1.0, 1.0, 0.3), (1.0, 0.6, 0.3)], ids=str
)
def test_with_few_wordings_or_facets_hard_to_tell_from_noise_it_may_be_wider_and_never_too_narrow(
    n_seeds, n_wordings, deviations
):
    rng = np.random.default_rng([n_seeds, n_wordings, 7])
    both = above = 0
    for _ in range(REPETITIONS):
        mean = mean_over_seeds_and_wordings(drawn(rng, n_seeds, n_wordings, *deviations))
        low, high = mean.bounds()
        both += low <= 5 <= high
        above += mean.upper() >= 5
    assert 0.93 <= both / REPETITIONS <= 0.996
    assert above / REPETITIONS >= 0.93


@pytest.mark.parametrize("shape", [(3, 8), (5, 4), (10, 2)], ids=str)
def test_it_is_never_narrower_than_over_either_facet_alone(shape):
    rng = np.random.default_rng(shape)
    for _ in range(200):
        table = drawn(rng, *shape, 1.0, 0.6, 0.3)
        mean = mean_over_seeds_and_wordings(table)
        for facet in (table.mean(axis=1), table.mean(axis=0)):
            low, high = stats.t.interval(0.95, len(facet) - 1, facet.mean(), stats.sem(facet))
            assert mean.bounds()[0] <= low + 1e-12
            assert mean.bounds()[1] >= high - 1e-12
            assert mean.p_value() >= stats.ttest_1samp(facet, 0).pvalue - 1e-12


def test_forms_of_one_wording_are_one_draw():
    """Two orders of a wording share what the wording does: as draws of their own they would cover far too seldom."""
    rng = np.random.default_rng([10, 2, 2])
    hits = {"forms": 0, "wordings": 0}
    for _ in range(300):
        table = np.repeat(drawn(rng, 10, 2, 0.3, 1.0, 0.3), 2, axis=1) + rng.normal(0, 0.1, (10, 4))
        wordings = by_wording(table, (2, 2, 3, 3))
        np.testing.assert_allclose(wordings, np.column_stack([table[:, :2].mean(axis=1), table[:, 2:].mean(axis=1)]))
        for name, one in (("forms", table), ("wordings", wordings)):
            low, high = mean_over_seeds_and_wordings(one).bounds()
            hits[name] += low <= 5 <= high
    assert hits["wordings"] >= 0.93 * 300
    assert hits["forms"] <= 0.8 * 300


def test_seeds_alone_would_not_cover_new_forms():
    """The interval that ignores the wordings' variance misses far more often: the test above can fail."""
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
    assert found.wordings == pytest.approx((squares["C(f)"] - squares["Residual"]) / 6, rel=1e-9)


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


def test_seeds_needed_beside_the_same_wordings():
    """As many seeds as it says decide about as often as promised, half as many do not; wordings may be too few."""
    rng = np.random.default_rng([8, 9])
    apart, many = {}, 6
    wordings = rng.normal(0, 0.3, (1, many))
    wordings -= wordings.mean()

    def table(n):
        return 8 + wordings + rng.normal(0, 3, (n, 1)) + rng.normal(0, 0.5, (n, many))

    measured = mean_over_seeds_and_wordings(table(400))
    needed = seeds_needed(measured, margin=10.0)
    for n in (needed // 2, needed):
        apart[n] = np.mean([mean_over_seeds_and_wordings(table(n)).upper() <= 10 for _ in range(1000)])
    assert 0.7 < apart[needed] < 0.92
    assert apart[needed // 2] < 0.65
    far = drawn(rng, 10, 2, 0.3, 5.0, 0.3)
    assert seeds_needed(mean_over_seeds_and_wordings(far), margin=float(far.mean()) + 2) is None


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

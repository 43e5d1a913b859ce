"""Factor analysis where the truth is known, and what must not pass in silence."""

import numpy as np
import pytest
from scipy import stats

from hofsteer.errors import InstrumentError
from hofsteer.instruments.factor import number
from hofsteer.instruments.factor.correlation import correlations, kind_for, pairwise_pearson, smoothed
from hofsteer.instruments.factor.extraction import extract
from hofsteer.instruments.factor.number import number_of_factors
from hofsteer.instruments.factor.polychoric import Grid, ordinal, pair_tables, polychoric
from hofsteer.instruments.factor.reliability import intraclass
from hofsteer.instruments.factor.rotation import matched_congruence, rotate


def respondents(n=2000, items=25, factors=5, seed=1, cuts=(-1.2, -0.4, 0.3, 1.1)):
    """Answers 1 to 5 from a known loading matrix of uncorrelated factors, and that matrix."""
    rng = np.random.default_rng([seed, 25])
    loadings = np.zeros((items, factors))
    loadings[np.arange(items), np.arange(items) * factors // items] = rng.uniform(0.55, 0.8, items)
    latent = rng.normal(size=(n, factors)) @ loadings.T
    latent += rng.normal(size=(n, items)) * np.sqrt(1 - (loadings**2).sum(axis=1))
    return np.digitize(latent, cuts) + 1.0, loadings


def test_known_loadings_come_back():
    answers, truth = respondents()
    ones = np.ones(len(answers))
    found = correlations(answers, ones, kind_for(answers), "em")
    assert found.kind == "polychoric"
    found_number = number_of_factors(found.matrix, answers, ones, found.kind, draws=40)
    assert (found_number.parallel, found_number.map) == (5, 5)
    loadings = rotate(extract(found.matrix, 5, "minres").loadings, "oblimin").loadings
    assert matched_congruence(truth, loadings).min() > 0.98
    order = np.abs(truth.T @ loadings).argmax(axis=1)
    assert np.sqrt(((np.abs(loadings[:, order]) - truth) ** 2)[truth > 0].mean()) <= 0.03
    assert np.sqrt(((loadings[:, order] - truth) ** 2).mean()) <= 0.03


def test_nothing_is_found_in_noise():
    rng = np.random.default_rng(3)
    noise = rng.integers(1, 6, size=(500, 10)).astype(float)
    found_number = number_of_factors(pairwise_pearson(noise, np.ones(500)), noise, np.ones(500), "pearson", draws=100)
    assert found_number.parallel == 0
    assert found_number.agreed is None


def test_parallel_analysis_with_permuted_polychorics_by_grid_is_that_in_full():
    answers, _ = respondents(n=300, items=6, factors=2)
    data = ordinal(answers, np.ones(300))
    first, second = np.triu_indices(6, 1)
    grid = Grid.over(data.thresholds[first], data.thresholds[second], 0.5, 20)
    mixed = np.random.default_rng(1).permuted(data.codes, axis=0)
    found, beyond = grid.best(pair_tables(mixed, data.categories))
    assert not beyond.any()
    wanted = polychoric(mixed.astype(float), np.ones(300))[first, second]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-4)


def test_cells_of_the_bivariate_normal_are_those_of_scipy():
    cuts = np.array([[-np.inf, -1.0, 0.5, np.inf]])
    grid = Grid.over(cuts, cuts[:, ::-1] * -1, 1.53, 51)
    for k in (3, 40, 60, 99):
        rho = np.sin(grid.angles[k])
        a, b = np.clip(cuts[0], -9, 9), np.clip(-cuts[0, ::-1], -9, 9)
        joint = [[stats.multivariate_normal.cdf([x, y], cov=[[1, rho], [rho, 1]]) for y in b] for x in a]
        wanted = np.diff(np.diff(joint, axis=0), axis=1).ravel()
        np.testing.assert_allclose(np.exp(grid.log_cells[0, :, k]), np.maximum(wanted, 1e-12), rtol=0, atol=1e-6)


def test_weights_are_as_if_rows_were_repeated():
    answers, _ = respondents(n=300, items=6, factors=2)
    weights = np.random.default_rng(1).integers(1, 4, 300)
    repeated = np.repeat(answers, weights, axis=0)
    for kind in ("pearson", "polychoric"):
        found = correlations(answers, weights.astype(float), kind, "em").matrix
        wanted = correlations(repeated, np.ones(len(repeated)), kind, "em").matrix
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_em_recovers_correlations_that_leaving_out_respondents_would_bias():
    rng = np.random.default_rng(5)
    complete = rng.multivariate_normal(np.zeros(3), [[1, 0.6, 0.5], [0.6, 1, 0.4], [0.5, 0.4, 1]], size=8000)
    answers = complete.copy()
    answers[complete[:, 0] > 0.3, 1] = np.nan  # missing by what is seen
    found = correlations(answers, np.ones(8000), "pearson", "em")
    assert found.missing == "em"
    assert found.converged
    np.testing.assert_allclose(found.matrix, np.corrcoef(complete.T), rtol=0, atol=0.03)
    listwise = np.corrcoef(answers[~np.isnan(answers[:, 1])].T)
    assert abs(listwise[0, 1] - 0.6) > 0.1
    pairwise = correlations(answers, np.ones(8000), "pearson", "pairwise").matrix
    there = ~np.isnan(answers[:, 1])
    assert pairwise[0, 1] == pytest.approx(np.corrcoef(answers[there, 0], answers[there, 1])[0, 1], abs=1e-10)


def test_em_is_the_maximum_of_the_likelihood():
    """No small step in any direction of the parameters makes the observed answers likelier."""
    rng = np.random.default_rng(7)
    answers = rng.multivariate_normal([0, 1], [[1, 0.5], [0.5, 1]], size=200)
    answers[:60, 1] = np.nan
    matrix = correlations(answers, np.ones(200), "pearson", "em").matrix
    # factored likelihood of monotone missing data (Anderson 1957): regression from the complete rows
    x, y = answers[60:].T
    slope = np.cov(x, y, ddof=0)[0, 1] / x.var()
    rest = (y - y.mean() - slope * (x - x.mean())).var()
    wanted = slope * answers[:, 0].std() / np.sqrt(slope**2 * answers[:, 0].var() + rest)
    assert matrix[0, 1] == pytest.approx(wanted, abs=1e-5)


def test_smoothing_is_reported():
    bad = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    matrix, change = smoothed(bad)
    assert change > 0.1
    assert np.linalg.eigvalsh(matrix)[0] > 0
    np.testing.assert_allclose(np.diag(matrix), 1)
    assert smoothed(np.eye(3))[1] is None


def test_heywood_cases_are_named():
    loadings = np.array([[1.05, 0.7, 0.6, 0.5]]).T
    matrix = loadings @ loadings.T
    np.fill_diagonal(matrix, 1.0)
    assert extract(matrix, 1, "minres").heywood == (0,)


def test_too_many_factors_are_refused():
    with pytest.raises(InstrumentError, match="want 1 to 1 factors for 4 items, got 3"):
        extract(np.eye(4), 3, "minres")


def test_intraclass_correlations_are_those_of_an_analysis_of_variance():
    rng = np.random.default_rng(11)
    groups = np.repeat(np.arange(12), 30)
    answers = rng.normal(size=(360, 1)) + rng.normal(size=(12, 1))[groups]
    first, second = intraclass(answers, groups, np.full(360, 2.0))
    f = stats.f_oneway(*(answers[groups == g, 0] for g in range(12))).statistic
    assert second[0] == pytest.approx(1 - 1 / f, abs=1e-10)
    assert first[0] == pytest.approx((f - 1) / (f + 29), abs=1e-10)


def test_rotation_is_the_same_for_flipped_and_shuffled_loadings():
    answers, _ = respondents(n=500, items=9, factors=3)
    loadings = extract(pairwise_pearson(answers, np.ones(500)), 3, "minres").loadings
    for name in ("oblimin", "varimax"):
        once, again = rotate(loadings, name), rotate(loadings[:, [2, 0, 1]] * [-1, 1, -1], name)
        np.testing.assert_allclose(once.loadings, again.loadings, rtol=0, atol=1e-5)
        assert (once.loadings.sum(axis=0) > 0).all()


def test_shifted_permutations_give_the_reference_that_fresh_ones_do(monkeypatch):
    answers, _ = respondents(n=1500, items=8, factors=2)
    matrix = pairwise_pearson(answers, np.ones(1500))
    fresh = number_of_factors(matrix, answers, np.ones(1500), "pearson", draws=400)
    monkeypatch.setattr(number, "MANY", 1000)
    shifted = number_of_factors(matrix, answers, np.ones(1500), "pearson", draws=400)
    np.testing.assert_allclose(shifted.reference, fresh.reference, rtol=0, atol=0.01)
    assert (shifted.reference != fresh.reference).any()

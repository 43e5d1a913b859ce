import numpy as np
import pytest

from hofsteer.evaluation.proportions import mcnemar, share_lost_bounds, wilson

TABLES = [(7, 1, 40), (0, 0, 10), (3, 5, 12), (86, 150, 1600), (10, 0, 10), (0, 3, 50)]  # lost, gained, n


def constrained_deviation(difference, lost, gained, n):
    """The deviation of lost - gained, with the likeliest shares of that difference found by a numeric search."""
    from scipy.optimize import minimize_scalar

    def minus_log_likelihood(gains):
        shares = np.array([gains + difference, gains, 1 - 2 * gains - difference])
        counts = np.array([lost, gained, n - lost - gained])
        return -(counts * np.log(np.maximum(shares, 1e-300)))[counts > 0].sum()

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    gains = minimize_scalar(minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return np.sqrt(n * (2 * gains + difference - difference**2))


@pytest.mark.parametrize(("lost", "gained", "n"), TABLES)
def test_bounds_are_where_the_score_test_ends(lost, gained, n):
    low, high = share_lost_bounds(lost, gained, n)
    assert low <= (lost - gained) / n <= high
    for bound, side in ((low, 1), (high, -1)):
        if abs(bound) < 1:
            score = side * (lost - gained - n * bound) / constrained_deviation(bound, lost, gained, n)
            assert score == pytest.approx(1.6449, abs=1e-3)
    mirrored = share_lost_bounds(gained, lost, n)
    assert (low, high) == pytest.approx((-mirrored[1], -mirrored[0]), abs=1e-6)


@pytest.mark.parametrize(("lost", "gained", "n"), [(0.1, 0.05, 100), (0.05, 0.05, 300), (0.3, 0.1, 20)])
def test_bounds_cover_the_truth(lost, gained, n):
    drawn = np.random.default_rng([1, 1]).multinomial(n, [lost, gained, 1 - lost - gained], size=1000)
    bounds = np.array([share_lost_bounds(int(row[0]), int(row[1]), n) for row in drawn])
    assert 0.92 < (bounds[:, 0] <= lost - gained + 1e-9).mean() < 0.98
    assert 0.92 < (bounds[:, 1] >= lost - gained - 1e-9).mean() < 0.98


def test_nothing_changed_among_few_questions_is_no_proof():
    assert share_lost_bounds(0, 0, 10)[1] > 0.2
    assert share_lost_bounds(0, 0, 1227)[1] < 0.003


@pytest.mark.parametrize(("right", "n"), [(0, 17), (5, 17), (17, 17), (600, 1227)])
def test_wilson_as_statsmodels_has_it(right, n):
    from statsmodels.stats.proportion import proportion_confint

    assert wilson(right, n) == pytest.approx(proportion_confint(right, n, 0.05, method="wilson"), abs=1e-12)


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (7, 1), (1, 7), (20, 20), (40, 22)])
def test_mcnemar_as_statsmodels_has_it(lost, gained):
    from statsmodels.stats.contingency_tables import mcnemar as theirs

    expected = theirs([[5, lost], [gained, 5]], exact=True).pvalue if lost + gained else 1.0
    assert mcnemar(lost, gained) == pytest.approx(expected)

import numpy as np
import pytest

from hofsteer.errors import TargetError
from hofsteer.targets import (
    DIMENSIONS,
    all_targets,
    alternatives,
    complete_countries,
    index_loss,
    load_target,
    mean_country,
    nearest,
)


def scores(name):
    return load_target(name).vector(DIMENSIONS)


def test_flat_answers_are_nearer_to_india_than_the_united_states():
    assert index_loss(np.full(6, 50.0), scores("IND")) == pytest.approx(11.7, abs=0.05)
    assert index_loss(scores("USA"), scores("IND")) == pytest.approx(26.5)


def test_the_two_sets_of_saudi_scores_are_21_points_apart():
    assert index_loss(scores("SAU@arab-2021-05"), scores("SAU")) == pytest.approx(21.0)


def test_loss_keeps_leading_axes():
    population = np.arange(24.0).reshape(2, 2, 6)
    losses = index_loss(population, scores("JPN"))
    assert losses.shape == (2, 2)
    assert losses[1, 0] == pytest.approx(np.abs(population[1, 0] - scores("JPN")).mean())


def test_loss_leaves_out_what_the_target_lacks():
    answered = np.array([1.0, 2, 3, 4, 30, np.nan])
    target = np.array([np.nan, np.nan, np.nan, np.nan, 36.0, np.nan])
    assert index_loss(answered, target) == 6.0


def test_loss_of_a_missing_score_is_nan_and_of_an_infinite_one_infinite():
    broken = np.array([[np.nan, 1, 1, 1, 1, 1], [np.inf, 1, 1, 1, 1, 1]])
    np.testing.assert_array_equal(index_loss(broken, scores("USA")), [np.nan, np.inf])


def test_loss_needs_a_score_to_compare_with():
    with pytest.raises(TargetError, match="at least one of 6 dimensions"):
        index_loss(np.zeros(6), np.full(6, np.nan))


@pytest.mark.parametrize("shape", [(5,), (6, 5), ()])
def test_loss_refuses_another_number_of_dimensions(shape):
    with pytest.raises(TargetError, match=r"want scores \(\.\.\., M\) and a target \(M,\)"):
        index_loss(np.zeros(shape), scores("USA"))


def test_mean_country_is_the_mean_of_the_complete_countries():
    mean = mean_country(DIMENSIONS)
    np.testing.assert_allclose(mean, [65.13, 39.41, 47.60, 67.80, 45.06, 45.60], atol=0.005)
    np.testing.assert_array_equal(mean_country(["IVR", "PDI"]), mean[[5, 0]])


def test_nearest_of_the_united_states_is_australia():
    country, distance = nearest(load_target("USA"), DIMENSIONS)
    assert country is load_target("AUS")
    assert distance == pytest.approx(2.8, abs=0.05)


def test_nearest_is_another_country():
    for target in all_targets():
        country, distance = nearest(target, DIMENSIONS)
        assert country in complete_countries()
        assert country.code != target.code
        assert distance == pytest.approx(index_loss(country.vector(DIMENSIONS), target.vector(DIMENSIONS)))


def test_nearest_of_another_source_is_not_the_same_country():
    for row in alternatives("SAU"):
        assert nearest(row, DIMENSIONS)[0].code != "SAU"
    assert nearest(load_target("SAU@hofstede-insights-2021-04"), DIMENSIONS) == nearest(load_target("SAU"), DIMENSIONS)


def test_nearest_counts_only_the_dimensions_asked_for():
    country, distance = nearest(load_target("JPN"), ["LTO"])
    assert (country.code, distance) == ("CHN", 1.0)


def test_nearest_needs_a_score():
    with pytest.raises(TargetError, match="at least one of 1 dimensions"):
        nearest(load_target("AND"), ["PDI"])


def test_typical_distance_to_the_nearest_neighbour():
    def median_distance(rows):
        table = np.stack([row.vector(DIMENSIONS) for row in rows])
        distances = np.stack([index_loss(table, row) for row in table])
        np.fill_diagonal(distances, np.inf)
        return np.median(distances.min(axis=0))

    matrix = (row for target in all_targets() for row in alternatives(target.code) if "@hofstede-2015" in row.code)
    complete = [row for row in matrix if not row.missing]
    assert len(complete) == 65
    assert median_distance(complete) == pytest.approx(47 / 6)
    assert median_distance([row for row in complete if row.kind == "country"]) == 8.0
    assert np.median([nearest(row, DIMENSIONS)[1] for row in complete_countries()]) == pytest.approx(41 / 6)

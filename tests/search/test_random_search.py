"""Random search: what it draws, that it learns nothing, and that a search beats it."""

import numpy as np
import pytest
from scipy.stats import kstest

from hofsteer.errors import ConfigError
from hofsteer.search.pso import ParticleSwarm
from hofsteer.search.random_search import DRAWS, RandomSearch, RandomState

INF = np.inf


def sphere(x):
    return (x**2).sum(axis=1)


def first_population(size=6, dim=4):
    """Coordinates of different means and deviations."""
    return np.random.default_rng([13, size, dim]).normal(np.arange(dim), 1 + np.arange(dim), (size, dim))


def advance(search, state, generations, function=sphere):
    for _ in range(generations):
        candidates = search.ask(state)
        state = search.tell(state, candidates, function(candidates))
    return state


def drawn(search, population, generations, bounds=None):
    """All candidates of the later generations."""
    state, asked = advance(search, search.init(population, bounds=bounds), 1), []
    for _ in range(generations):
        asked.append(search.ask(state))
        state = search.tell(state, asked[-1], sphere(asked[-1]))
    return np.concatenate(asked)


def test_a_draw_worked_out_by_hand():
    search = RandomSearch(2, seed=7)
    state = advance(search, search.init(np.array([[0.0, 0], [2, 6]])), 1)
    normal = np.random.default_rng([7, 1, DRAWS]).standard_normal((2, 2))
    # means 1 and 3; variances 2 and 18, so the deviation is the root of 10
    np.testing.assert_allclose(search.ask(state), [1, 3] + np.sqrt(10) * normal, rtol=1e-14)


def test_draws_are_normal_with_the_own_mean_and_the_pooled_deviation():
    population = first_population()
    candidates = drawn(RandomSearch(6, seed=2), population, 2000)
    deviation = np.sqrt(np.mean([np.var(column, ddof=1) for column in population.T]))
    for coordinate, mean in zip(candidates.T, population.mean(axis=0), strict=True):
        assert kstest(coordinate, "norm", (mean, deviation)).pvalue > 0.001
        assert kstest(coordinate, "norm", (mean, 1.1 * deviation)).pvalue < 0.001  # a wrong one would be seen
    correlations = np.corrcoef(candidates.T)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(len(candidates))
    assert len(np.unique(candidates)) == candidates.size  # no draw comes twice


def test_no_loss_changes_what_is_asked():
    search = RandomSearch(6)
    one = advance(search, search.init(first_population()), 5)
    other = advance(search, search.init(first_population()), 5, lambda x: np.full(len(x), INF))
    np.testing.assert_array_equal(search.ask(one), search.ask(other))


def test_the_best_is_kept_the_first_on_a_tie():
    search = RandomSearch(6)
    state = search.init(first_population())
    told = []
    for losses in ([INF] * 6, [3.0, 2, 4, 2, INF, 3], [2.0] * 6, [9, 9, 9, 9, 1, INF]):
        told.append(search.ask(state))
        state = search.tell(state, told[-1], np.array(losses))
        where = [(0, 0), (1, 1), (1, 1), (3, 4)][len(told) - 1]
        np.testing.assert_array_equal(state.best, told[where[0]][where[1]])
        assert state.best_loss == [INF, 2, 2, 1][len(told) - 1]
    assert (state.generation, state.evaluations) == (4, 24)


def test_what_is_drawn_outside_the_bounds_goes_midway():
    search, population = RandomSearch(6), first_population()
    lower, upper = population.min(axis=0) - 0.5, population.max(axis=0) + 0.5
    wild, held = drawn(search, population, 50), drawn(search, population, 50, (lower, upper))
    rows = np.tile(population, (50, 1))
    below, above = wild < lower, wild > upper
    assert below.any()
    assert above.any()
    np.testing.assert_allclose(held[below], ((lower + rows) / 2)[below], rtol=1e-15)
    np.testing.assert_allclose(held[above], ((upper + rows) / 2)[above], rtol=1e-15)
    np.testing.assert_array_equal(held[~below & ~above], wild[~below & ~above])


def test_a_search_beats_it():
    """In 100 dimensions with 3,200 evaluations, from the same start."""
    for seed in range(5):
        start = np.random.default_rng([3, seed]).normal(1, 1, (32, 100))
        searches = RandomSearch(32, seed), ParticleSwarm(32, seed=seed)
        random, pso = (advance(search, search.init(start), 100).best_loss for search in searches)
        assert pso < 0.5 * random < sphere(start).min()


@pytest.mark.parametrize("bounds", [None, (np.full(4, -INF), np.full(4, 50.0))])
def test_bounds_or_none_survive_the_round_trip(bounds):
    search = RandomSearch(6)
    state = advance(search, search.init(first_population(), bounds=bounds), 2)
    again = RandomState.from_arrays(state.arrays())
    assert (again.bounds is None) == (bounds is None)
    assert again.best_loss == state.best_loss
    np.testing.assert_array_equal(search.ask(again), search.ask(state))


@pytest.mark.parametrize("missing", ["population", "leader", "leader_loss", "generation", "lower", "upper"])
def test_a_state_with_a_part_missing_is_refused(missing):
    arrays = RandomSearch(6).init(first_population(), bounds=(np.full(4, -50.0), np.full(4, 50.0))).arrays()
    del arrays[missing]
    with pytest.raises(ValueError, match="want a random search"):
        RandomState.from_arrays(arrays)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"population_size": 1}, "population_size wants an integer of at least 2, got 1"),
        ({"population_size": 8.0}, "population_size wants an integer of at least 2, got 8.0"),
        ({"seed": -1}, "seed wants an integer of at least 0, got -1"),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(setting, message):
    with pytest.raises(ConfigError) as refused:
        RandomSearch(**setting)
    assert str(refused.value) == message

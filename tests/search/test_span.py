"""CMA-ES in the span of a population; that gauss-newton begins with it is among that search's own tests."""

import numpy as np

from hofsteer.search.span import SpanCMA

SEARCH = SpanCMA(population_size=6, seed=3)


def start():
    """Twelve rows in three of twenty dimensions, and a loss that falls along the first of these."""
    rng = np.random.default_rng([8, 1])
    axes, weights = np.linalg.qr(rng.normal(size=(20, 3)))[0].T, rng.normal(size=(12, 3))
    return axes, 1 + weights @ axes, 5 - weights[:, 0]


def test_candidates_stay_in_the_span_and_get_better():
    axes, population, losses = start()
    state = SEARCH.begin(population, losses)
    for _ in range(15):
        candidates = SEARCH.ask(state, population, None)
        assert candidates.shape == (6, 20)
        apart = candidates - 1
        np.testing.assert_allclose(apart @ axes.T @ axes, apart, atol=1e-9)
        state = SEARCH.tell(state, 5 - apart @ axes[0])
    assert (5 - apart @ axes[0]).min() < losses.min() - 1


def test_bounds_are_kept():
    _, population, losses = start()
    bounds = (np.full(20, 0.9), np.full(20, 1.1))
    candidates = SEARCH.ask(SEARCH.begin(population, losses), population, bounds)
    assert (candidates >= 0.9).all()
    assert (candidates <= 1.1).all()
    assert (candidates == 1.1).any()


def test_no_spread_is_nothing_to_begin_with_once_something_was_answered():
    _, population, losses = start()
    population[losses.argsort()[:6]] = population[0]
    assert SEARCH.begin(population, losses) is None
    assert SEARCH.begin(population, np.full(12, np.inf)) is not None

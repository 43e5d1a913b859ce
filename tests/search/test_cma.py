"""Full and separable CMA-ES against the package `cmaes`: the same arithmetic, and searches that end as well."""

from dataclasses import replace

import cmaes
import numpy as np
import pytest
from scipy.optimize import rosen
from scipy.stats import kstest, mannwhitneyu, truncnorm

from hofsteer.errors import ConfigError
from hofsteer.search.cma import CANDIDATES, CMA, LARGEST, MAX_DIM, CMAState, in_range
from hofsteer.search.sep_cma import SeparableCMA

BOTH = pytest.mark.parametrize("kind", [CMA, SeparableCMA])
PACKAGE = {CMA: cmaes.CMA, SeparableCMA: cmaes.SepCMA}
DISTRIBUTION = ("mean", "sigma", "lengths", "axes", "path_sigma", "path_c")


def sphere(x):
    return (x**2).sum(axis=1)


def rosenbrock(x):
    return rosen(x.T)


def ackley(x):
    waves = np.exp(np.cos(2 * np.pi * x).mean(axis=1))
    return 20 - 20 * np.exp(-0.2 * np.sqrt((x**2).mean(axis=1))) + np.e - waves


def linear(x):
    return -x.sum(axis=1)


def start(cma, dim, seed=0, bounds=None):
    """A uniform start in [-2, 6], not centred on a minimum."""
    return cma.init(np.random.default_rng([55, seed]).uniform(-2, 6, (cma.population_size, dim)), bounds=bounds)


def advance(cma, state, generations, function=sphere):
    for _ in range(generations):
        candidates = cma.ask(state)
        state = cma.tell(state, candidates, function(candidates))
    return state


def covariance(state):
    """C, or its diagonal."""
    return state.lengths**2 if state.axes is None else state.axes @ np.diag(state.lengths**2) @ state.axes.T


def assert_same_distribution(one, other):
    for name in DISTRIBUTION:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def same_start(kind, state):
    """Return the optimizer of the package with the mean and the step size of `state`."""
    return PACKAGE[kind](mean=state.mean.copy(), sigma=state.sigma, population_size=len(state.population))


# --- the same arithmetic as the package -------------------------------------------------------------------------------


def partly_failed(x):
    losses = rosenbrock(x)
    losses[1::4] = np.inf
    return losses


@BOTH
@pytest.mark.parametrize("size", [4, 5, 10, 31])
@pytest.mark.parametrize("dim", [5, 10])
@pytest.mark.parametrize(
    ("function", "bounds"), [(rosenbrock, None), (partly_failed, None), (linear, None), (rosenbrock, (-2.0, 6.0))]
)
def test_every_number_is_that_of_the_package(kind, size, dim, function, bounds):
    cma = kind(size, seed=size + dim)
    state = start(cma, dim, bounds=None if bounds is None else tuple(np.full(dim, side) for side in bounds))
    package = same_start(kind, state)
    for _ in range(60):
        candidates = cma.ask(state)
        losses = function(candidates)
        state = cma.tell(state, candidates, losses)
        package.tell(list(zip(candidates, losses, strict=True)))
        if state.generation % 6 not in (0, 1):  # a difference stays
            continue
        for ours, theirs in (
            (state.mean, package._mean),
            (state.sigma, package._sigma),
            (state.path_sigma, package._p_sigma),
            (state.path_c, package._pc),
            (covariance(state), package._C),
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9 * np.abs(theirs).max())
    assert state.generation == package.generation == 60


@BOTH
def test_the_comparison_meets_both_values_of_h_sigma(kind):
    """On a slope the step size grows fast and the path of the covariance takes no more steps in."""
    cma = kind(10, seed=15)
    state, still = start(cma, 5), []
    for _ in range(60):
        before, state = state, advance(cma, state, 1, linear)
        still.append(np.allclose(state.path_c, (1 - cma._rates(5).c_c) * before.path_c, rtol=1e-12))
    assert 0 < sum(still) < 60


@BOTH
@pytest.mark.parametrize("size", [4, 5, 8, 40])
@pytest.mark.parametrize("dim", [1, 2, 3, 1000])
def test_rates_leave_the_old_covariance_a_share_that_is_not_negative(kind, size, dim):
    rates = kind(size)._rates(dim)
    assert rates.weights.shape == (size,)
    assert rates.weights[: rates.mu].sum() == pytest.approx(1)
    assert (np.diff(rates.weights) <= 0).all()
    assert 1 - rates.c_1 - rates.c_mu * rates.weights.sum() >= 0
    assert 0 < rates.c_mu <= 1


# --- the start, the draws, the ranks ----------------------------------------------------------------------------------


@BOTH
def test_the_start_is_the_mean_and_the_spread_of_the_population(kind):
    state = kind(4).init(np.array([[1.0, 0.0], [3.0, 0.0], [1.0, 4.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(state.mean, [2.0, 2.0])
    assert state.sigma == np.sqrt((1 + 4) / 2)  # the variances are 1 and 4
    np.testing.assert_array_equal(covariance(state), np.eye(2) if kind is CMA else np.ones(2))


@BOTH
def test_candidates_are_drawn_from_the_distribution(kind):
    cma = kind(12, seed=4)
    state = advance(cma, start(cma, 3), 15, rosenbrock)
    many = cma.ask(replace(state, population=np.zeros((40_000, 3))))
    c = covariance(state)
    want = state.sigma**2 * (c if c.ndim == 2 else np.diag(c))
    scale = np.sqrt(np.outer(np.diag(want), np.diag(want)))
    np.testing.assert_allclose(np.cov(many.T) / scale, want / scale, atol=0.03)
    np.testing.assert_allclose((many.mean(axis=0) - state.mean) / np.sqrt(np.diag(want)), 0, atol=0.03)
    assert kind is SeparableCMA or np.abs(want / scale - np.eye(3)).max() > 0.3  # there was something to be seen


@BOTH
def test_the_random_stream_is_the_one_of_seed_and_generation(kind):
    cma = kind(6, seed=8)
    state = advance(cma, start(cma, 4), 5)
    normal = np.random.default_rng([8, 5, CANDIDATES]).standard_normal((6, 4))
    axes = np.eye(4) if state.axes is None else state.axes
    np.testing.assert_allclose(
        cma.ask(state), state.mean + state.sigma * (normal * state.lengths) @ axes.T, rtol=1e-12, atol=1e-12
    )


@BOTH
def test_what_is_outside_the_bounds_is_drawn_again(kind):
    cma = kind(8, seed=3)
    box = (np.array([-1.0, -0.5]), np.array([0.8, np.inf]))
    state = replace(
        cma.init(np.random.default_rng(1).uniform(-0.5, 0.5, (8, 2)), bounds=box),
        population=np.zeros((4000, 2)),
        mean=np.zeros(2),
        sigma=1.0,
        generation=1,
    )
    asked = cma.ask(state)
    assert ((asked > box[0]) & (asked < box[1])).all(axis=1).mean() > 0.995  # next to nothing is left to cut
    for column, lower, upper in zip(asked.T, *box, strict=True):
        assert kstest(column, truncnorm(lower, upper).cdf).pvalue > 0.001


@BOTH
def test_what_does_not_get_inside_is_cut_at_the_bounds(kind):
    cma = kind(8)
    box = (np.zeros(40), np.ones(40))  # from a corner, one draw in 2^40 is inside
    state = replace(start(cma, 40), bounds=box, mean=np.zeros(40), sigma=3.0, generation=1)
    asked = cma.ask(state)
    assert ((asked >= 0) & (asked <= 1)).all()
    assert (asked == 0).any()


@BOTH
def test_only_ranks_count_failures_last_and_ties_by_index(kind):
    cma = kind(6)
    state = advance(cma, start(cma, 4), 3)
    candidates, inf = cma.ask(state), np.inf
    told = cma.tell(state, candidates, np.array([inf, 3.0, -1.0, 3.0, inf, 1e300]))
    ranked = cma.tell(state, candidates, np.array([4.0, 1.0, 0.0, 2.0, 5.0, 3.0]))
    assert_same_distribution(told, ranked)
    swapped = cma.tell(state, candidates, np.array([4.0, 2.0, 0.0, 1.0, 5.0, 3.0]))
    assert (swapped.mean != ranked.mean).any()


@BOTH
@pytest.mark.parametrize("generations", [0, 4])
def test_when_all_fail_only_the_generation_counts(kind, generations):
    cma = kind(6)
    state = advance(cma, start(cma, 4), generations)
    told = cma.tell(state, cma.ask(state), np.full(6, np.inf))
    assert_same_distribution(told, state)
    assert told.best_loss == state.best_loss
    np.testing.assert_array_equal(told.best, state.best)
    assert (told.generation, told.evaluations) == (generations + 1, 6 * (generations + 1))
    assert (cma.ask(told) != cma.ask(state)).all()


# --- numerical health -------------------------------------------------------------------------------------------------


def elsewhere(x):
    return sphere(x - 1.1)


def one_coordinate(x):
    return np.abs(x[:, 0])


def nothing(x):
    return np.zeros(len(x))


def step(x):
    return np.where(x[:, 0] > 1e6, 0.0, np.inf)


@BOTH
@pytest.mark.parametrize("function", [sphere, elsewhere, linear, one_coordinate, nothing, step])
def test_a_search_that_has_nothing_more_to_find_stays_finite(kind, function):
    """Collapse to a point, to the grain of float64 around 1.1, off to infinity, a walk in the flat, all failed."""
    cma = kind(6)
    state = start(cma, 3)
    for generation in range(1600):
        candidates = cma.ask(state)
        state = cma.tell(state, candidates, function(candidates))  # raises if a candidate is not finite
        assert in_range(state)
        assert state.generation == generation + 1


@BOTH
def test_a_search_held_at_a_corner_stays_finite(kind):
    cma = kind(6)
    state = start(cma, 3, bounds=(np.full(3, -2.0), np.array([6.0, 6.0, 6.1])))
    state = advance(cma, state, 1500, linear)
    np.testing.assert_allclose(state.best, [6.0, 6.0, 6.1], rtol=1e-4)
    assert in_range(state)


@BOTH
def test_candidates_no_distribution_could_give_change_nothing_but_the_best(kind):
    cma = kind(6)
    state = advance(cma, start(cma, 4), 3)
    far = np.random.default_rng(1).normal(size=(6, 4)) * 1e300
    told = cma.tell(state, far, np.array([1.0, 2.0, -3.0, 4.0, 5.0, 6.0]))
    assert_same_distribution(told, state)
    assert told.best_loss == -3.0
    np.testing.assert_array_equal(told.best, far[2])
    assert np.isfinite(cma.ask(told)).all()


@BOTH
def test_an_axis_without_room_keeps_a_length(kind):
    cma = kind(8)
    population = np.random.default_rng(3).uniform(-2, 2, (8, 3))
    population[:, 1] = 0.7
    box = (np.array([-3.0, 0.7, -3.0]), np.array([3.0, 0.7, 3.0]))
    state = advance(cma, cma.init(population, bounds=box), 1000, elsewhere)
    assert state.lengths.min() >= 0.99e-7 * state.lengths.max()
    np.testing.assert_allclose(state.best, [1.1, 0.7, 1.1], rtol=1e-6)


def test_many_more_dimensions_than_candidates():
    cma = SeparableCMA(8)
    state = cma.init(np.random.default_rng(4).normal(1, 0.01, (8, 5000)))
    told = advance(cma, state, 200)
    assert in_range(told)
    assert sphere(told.mean[None])[0] < 0.97 * sphere(state.mean[None])[0]


# --- refusals ---------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("population", [np.full((6, 3), 0.1), np.random.default_rng(0).normal(size=(6, 3)) * 1e200])
def test_a_start_without_a_usable_spread_is_refused(kind, population):
    with pytest.raises(ValueError, match=r"want a population whose spread is between 1e-100 and 1e\+100, got"):
        kind(6).init(population)


def test_a_full_matrix_in_many_dimensions_is_refused():
    population = np.random.default_rng(0).normal(size=(4, MAX_DIM + 1))
    with pytest.raises(ConfigError) as refused:
        CMA(4).init(population)
    assert str(refused.value) == "'cma' wants at most 1000 dimensions, got 1001; try 'sep-cma', or a subspace"
    assert SeparableCMA(4).init(population)


@BOTH
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"population_size": 3}, "population_size wants an integer of at least 4, got 3"),
        ({"population_size": 8.0}, "population_size wants an integer of at least 4, got 8.0"),
        ({"seed": -1}, "seed wants an integer of at least 0, got -1"),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(kind, setting, message):
    with pytest.raises(ConfigError) as refused:
        kind(**setting)
    assert str(refused.value) == message


@BOTH
@pytest.mark.parametrize("missing", ["mean", "sigma", "lengths", "best_loss", "generation", "lower", "upper"])
def test_a_state_with_a_part_missing_is_refused(kind, missing):
    arrays = start(kind(6), 3, bounds=(np.full(3, -LARGEST), np.full(3, np.inf))).arrays()
    assert CMAState.from_arrays(arrays)
    del arrays[missing]
    with pytest.raises(ValueError, match="want a CMA state"):
        CMAState.from_arrays(arrays)


# --- does it find minima, and as well as the package? -----------------------------------------------------------------

SEEDS, DIM, SIZE, LEVEL = range(15), 10, 12, 0.001
GENERATIONS = {sphere: 80, rosenbrock: 120, ackley: 80}


def our_losses(kind, function, generations):
    """Generation 0 comes from outside, so the package gets as many generations of its own and a first one too."""
    runs = [kind(SIZE, seed=seed) for seed in SEEDS]
    return [advance(cma, start(cma, DIM, cma.seed), generations, function).best_loss for cma in runs]


def package_losses(kind, function, generations):
    """From the same means and step sizes, with the sampling of the package."""
    best = []
    for seed in SEEDS:
        package = same_start(kind, start(kind(SIZE), DIM, seed))
        package.reseed_rng(seed)
        lowest = np.inf
        for _ in range(generations):
            candidates = np.array([package.ask() for _ in range(SIZE)])
            losses = function(candidates)
            lowest = min(lowest, losses.min())
            package.tell(list(zip(candidates, losses, strict=True)))
        best.append(lowest)
    return best


def deficit(ours, theirs):
    """p of the one-sided Mann-Whitney test: small if our losses are higher than theirs."""
    return mannwhitneyu(ours, theirs, alternative="greater").pvalue


@BOTH
@pytest.mark.parametrize("function", GENERATIONS)
def test_no_worse_than_the_package(kind, function):
    generations = GENERATIONS[function]
    ours, theirs = our_losses(kind, function, generations), package_losses(kind, function, generations)
    assert deficit(ours, theirs) > LEVEL
    assert deficit(theirs, ours) > LEVEL  # it is the same algorithm: an advantage would be a difference too
    handicapped = our_losses(kind, function, generations // 4)
    assert deficit(handicapped, theirs) < LEVEL  # a deficit would be seen


@pytest.mark.parametrize(
    ("kind", "function", "generations", "loss"),
    [
        (CMA, sphere, 200, 1e-10),
        (CMA, rosenbrock, 600, 1e-8),
        (CMA, ackley, 250, 1e-6),
        (SeparableCMA, sphere, 200, 1e-10),
    ],
)
def test_converges_in_ten_dimensions(kind, function, generations, loss):
    cma = kind(20, seed=1)
    assert advance(cma, start(cma, DIM), generations, function).best_loss < loss


def test_a_full_matrix_learns_the_shape_of_the_valley():
    """Axes of a rotated ellipsoid differ by 100; C becomes the inverse of its Hessian, up to a factor."""
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0]
    hessian = turn @ np.diag(np.logspace(0, 4, 5)) @ turn.T
    cma = CMA(16, seed=1)
    state = advance(cma, start(cma, 5), 150, lambda x: np.einsum("pi,ij,pj->p", x, hessian, x))
    learned = covariance(state) @ hessian
    eigenvalues = np.linalg.eigvals(learned).real
    assert eigenvalues.max() / eigenvalues.min() < 10  # 10,000 at the start

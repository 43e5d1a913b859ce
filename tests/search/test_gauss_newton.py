"""Gauss-Newton from probes: its linear model against numpy's and scipy's least squares, and what it needs."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from hofsteer.search import CMA, GaussNewton
from hofsteer.search.gauss_newton import CLEAR, LONGEST_PROBE, PROBE
from hofsteer.search.linear_model import EXACT, HOPELESS, LONGEST, blur_of, clear_length

DIM = 12


def linear(seed, n_errors=3, dim=DIM):
    rng = np.random.default_rng(seed)
    slopes, offset = rng.normal(size=(n_errors, dim)), 0.1 * rng.normal(size=n_errors)
    return slopes, lambda candidates: candidates @ slopes.T - offset


def run(search, errors_of, dim, generations, seed=0):
    state = search.init(np.random.default_rng([seed, 5]).normal(size=(search.population_size, dim)))
    for _ in range(generations):
        candidates = search.ask(state)
        errors = errors_of(candidates)
        state = search.tell(state, candidates, np.abs(errors).mean(axis=1), errors)
    return state


def test_slopes_are_those_of_a_linear_function():
    slopes, errors_of = linear(1)
    search = GaussNewton(population_size=16, warm_up=16)
    state = run(search, errors_of, DIM, 5)
    seen = search._observed(state)
    np.testing.assert_allclose(np.linalg.norm(seen.directions, axis=1), 1)
    np.testing.assert_allclose(seen.slopes, seen.directions @ slopes.T, atol=1e-9)
    assert (seen.distances >= 0).all()
    np.testing.assert_allclose(seen.blurs, EXACT)
    assert len(seen.directions) >= 16


def test_probes_are_as_long_as_said():
    _, errors_of = linear(1)
    search = GaussNewton(population_size=16, warm_up=16)
    state = run(search, errors_of, DIM, 1)
    unit = np.sqrt((state.population**2).sum(axis=1).mean())
    np.testing.assert_allclose(np.linalg.norm(search.ask(state) - state.best, axis=1), PROBE * unit)


def test_the_first_probes_hold_an_opposite_pair_and_clear_ones_need_no_more():
    _, errors_of = linear(1)
    search = GaussNewton(population_size=16, warm_up=16)
    for generations, pairs in ((1, 1), (2, 1), (4, 0)):  # of eight probes; the fourth generation steps
        state = run(search, errors_of, DIM, generations)
        probes = search.ask(state) - state.best
        cosines = probes @ probes.T / np.square(PROBE) / (state.population**2).sum(axis=1).mean()
        assert (cosines < -0.999).sum() == 2 * pairs


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_pairs_show_how_much_is_noise(share):
    """Changes with slopes of variance 1, and noise of known variance in each evaluation and in that of the base."""
    rng = np.random.default_rng(5)
    slopes, noise = rng.normal(size=(4, 5000)), np.sqrt(share / 2) * rng.normal(size=(9, 5000))
    forth, back = slopes + noise[:4] - noise[8], -slopes + noise[4:8] - noise[8]
    assert blur_of(forth, back) == pytest.approx(share, rel=0.15)
    assert blur_of(1e200 * forth, 1e200 * back) == pytest.approx(share, rel=0.15)


def test_what_pairs_cannot_show_is_hopeless():
    changes = np.random.default_rng(0).normal(size=(4, 3))
    assert blur_of(np.zeros((4, 3)), np.zeros((4, 3))) == HOPELESS
    assert np.isnan(blur_of(np.full((4, 3), np.nan), changes))
    assert blur_of(changes, changes) == HOPELESS
    assert blur_of(changes, -changes) == 0


@pytest.mark.parametrize(("noise", "bend"), [(1e-4, 0), (1e-7, 10), (1e-4, 10), (1e-3, 10), (4e-5, 0.1)])
def test_the_length_is_that_of_a_search_along_the_curve(noise, bend):
    def blur(length):
        return noise / length**2 + bend * length**2

    tried = np.array([0.02, 0.05, 0.16, 0.05])
    found = clear_length(tried, blur(tried), CLEAR, 0.02)
    lengths = np.linspace(1e-4, 0.5, 50_000)
    clear = lengths[blur(lengths) <= CLEAR]
    wanted = clear[0] if len(clear) else lengths[blur(lengths).argmin()]
    assert found == pytest.approx(wanted, rel=0.1)


def test_one_length_is_taken_for_noise_and_none_changes_nothing():
    assert clear_length(np.array([0.02]), np.array([4 * CLEAR]), CLEAR, 0.02) == pytest.approx(0.04, rel=0.01)
    assert clear_length(np.array([]), np.array([]), CLEAR, 0.07) == 0.07
    assert clear_length(np.array([0.02, 0.1]), np.array([HOPELESS, HOPELESS]), CLEAR, 0.02) == np.inf


def rounded(errors_of, step):
    """Errors as coarse as those of a model in bfloat16: rounded, and not the same way everywhere."""

    def of(candidates):
        tilt = step * np.sin(1e6 * candidates[:, :1])
        return np.round((errors_of(candidates) + tilt) / step) * step - tilt

    return of


def test_probes_grow_until_slopes_stand_out_of_rounding():
    _, errors_of = linear(1, dim=200)
    search = GaussNewton(population_size=32, warm_up=32)
    fine, coarse, useless = (run(search, rounded(errors_of, step), 200, 5) for step in (1e-3, 0.5, 50))
    assert fine.length == PROBE < coarse.length < useless.length == LONGEST_PROBE
    assert fine.blurs[0] <= CLEAR < coarse.blurs[0]


def test_rounding_does_not_stop_the_search():
    """At equal evaluations, against the same search with probes that stay short."""
    reached, short = [], []
    for seed in range(5):
        _, errors_of = linear(seed, n_errors=6, dim=300)
        reached.append(run(GaussNewton(seed=seed, warm_up=32), rounded(errors_of, 3.0), 300, 20, seed).best_loss)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hofsteer.search.gauss_newton.LONGEST_PROBE", PROBE)
            short.append(run(GaussNewton(seed=seed, warm_up=32), rounded(errors_of, 3.0), 300, 20, seed).best_loss)
    assert np.median(reached) < 0.1 * np.median(short)


def test_the_longest_step_with_little_damping_is_the_least_squares_one():
    """Probes in all directions: then the model's step is the least-norm solution of numpy, as far as it may go."""
    slopes, errors_of = linear(2)
    search = GaussNewton(population_size=64, warm_up=64)
    state = run(search, errors_of, DIM, 3)
    unit = np.sqrt((state.population**2).sum(axis=1).mean())
    wanted = np.linalg.lstsq(slopes, -state.best_errors, rcond=None)[0]
    wanted *= min(1.0, LONGEST * unit / np.linalg.norm(wanted))
    steps = search.ask(state) - state.best
    nearest = np.linalg.norm(steps - wanted, axis=1).min()
    assert nearest < 0.02 * np.linalg.norm(wanted)


def test_a_linear_function_is_solved_in_few_steps():
    _, errors_of = linear(3, dim=200)
    state = run(GaussNewton(warm_up=32), errors_of, 200, 16)
    assert state.best_loss < 1e-3
    assert state.evaluations == 32 + 15 * 16


def test_it_finds_what_scipy_finds_from_the_same_start():
    def errors_of(candidates):  # Rosenbrock's valley as errors, in two of the dimensions
        x, y = candidates[:, 0], candidates[:, 1]
        return np.stack([10 * (y - x**2), 1 - x], axis=1)

    state = run(GaussNewton(warm_up=64, seed=2), errors_of, 8, 60)
    found = least_squares(lambda x: errors_of(x[None])[0], state.population[0])
    assert found.cost < 1e-12
    assert state.best_loss < 0.01  # probes have a length, so bent errors are solved no further


def test_errors_tell_more_than_losses():
    """On a bent function of many dimensions, at equal evaluations, against the search that it begins as."""
    rng = np.random.default_rng(4)
    inner, outer = rng.normal(size=(300, 40)) / np.sqrt(300), rng.normal(size=(40, 6))

    def errors_of(candidates):
        return np.tanh(candidates @ inner) @ outer - 6

    ours, theirs = [], []
    for seed in range(5):
        ours.append(run(GaussNewton(seed=seed), errors_of, 300, 1 + 43, seed).best_loss)  # 720 evaluations
        cma = CMA(population_size=16, seed=seed)
        state = cma.init(np.random.default_rng([seed, 5]).normal(size=(16, 300)))
        for _ in range(45):
            candidates = cma.ask(state)
            state = cma.tell(state, candidates, np.abs(errors_of(candidates)).mean(axis=1))
        theirs.append(state.best_loss)
    assert max(ours) < 0.2 * min(theirs)


def test_bend_is_not_taken_for_rounding_for_long():
    """Errors that bend within a probe: longer ones were tried, were no better, and it is short ones again."""
    rng = np.random.default_rng(4)
    inner, phase, outer = rng.normal(size=(300, 40)) / np.sqrt(300), 6 * rng.random(40), rng.normal(size=(40, 24))

    def errors_of(candidates):
        return np.sin(20 * candidates @ inner + phase) @ outer * 10 - 4

    search = GaussNewton(seed=1)
    state, longest = search.init(np.random.default_rng(1).normal(size=(32, 300))), PROBE
    for _ in range(80):
        candidates = search.ask(state)
        errors = errors_of(candidates)
        state = search.tell(state, candidates, np.abs(errors).mean(axis=1), errors)
        longest = max(longest, state.length)
    assert longest > 1.5 * PROBE
    assert np.median(state.lengths) == PROBE
    assert state.best_loss < 0.5  # with probes that stay long: 2


@pytest.mark.parametrize("size", [16, 32])
def test_pairs_that_fail_change_nothing(size):
    _, errors_of = linear(1, dim=200)
    search = GaussNewton(population_size=size, warm_up=size)
    state = search.init(np.random.default_rng(0).normal(size=(size, 200)))
    for generation in range(6):
        candidates = search.ask(state)
        errors = errors_of(candidates)
        losses = np.abs(errors).mean(axis=1)
        if generation == 1:
            losses[:4], errors[:4] = np.inf, np.nan
        state = search.tell(state, candidates, losses, errors)
    assert np.isnan(state.blurs[0])
    assert (state.lengths == PROBE).all()
    np.testing.assert_allclose(search._observed(state).blurs, EXACT)


def test_pairs_that_the_bounds_divide_show_nothing():
    _, errors_of = linear(1)
    search = GaussNewton(population_size=16, warm_up=16)
    population = np.random.default_rng(0).uniform(size=(16, DIM))
    population[:] = population.round()  # the best is in a corner
    state = search.init(population, bounds=(np.zeros(DIM), np.ones(DIM)))
    for _ in range(3):
        candidates = search.ask(state)
        state = search.tell(state, candidates, np.abs(errors_of(candidates)).mean(axis=1), errors_of(candidates))
    assert np.isnan(state.blurs[0])
    assert state.length == PROBE


def test_without_errors_it_says_so():
    search = GaussNewton(population_size=8)
    state = search.init(np.random.default_rng(0).normal(size=(8, 3)))
    with pytest.raises(ValueError, match=r"want errors of shape \(8, K\) beside the losses, got \(8, 0\)"):
        search.tell(state, search.ask(state), np.ones(8))
    with pytest.raises(ValueError, match="want finite errors where the loss is finite, got nan"):
        search.tell(state, search.ask(state), np.ones(8), np.full((8, 2), np.nan))


def test_a_start_of_equal_rows_is_refused():
    with pytest.raises(ValueError, match="want a population whose rows differ"):
        GaussNewton(population_size=8).init(np.ones((8, 3)))


def test_failed_probes_are_left_out():
    slopes, errors_of = linear(6)

    def flaky(candidates):
        errors = errors_of(candidates)
        errors[::3] = np.nan
        return errors

    search = GaussNewton(population_size=16, warm_up=16)
    state = search.init(np.random.default_rng(0).normal(size=(16, DIM)))
    for _ in range(12):
        candidates = search.ask(state)
        errors = flaky(candidates)
        losses = np.where(np.isnan(errors).any(axis=1), np.inf, np.abs(errors).mean(axis=1))
        state = search.tell(state, candidates, losses, errors)
    seen = search._observed(state)
    np.testing.assert_allclose(seen.slopes, seen.directions @ slopes.T, atol=1e-9)
    assert state.best_loss < 0.05


@pytest.mark.parametrize(
    "errors_of",
    [
        lambda c: np.ones((len(c), 2)),
        lambda c: np.zeros((len(c), 2)),
        lambda c: np.round(c[:, :2] / 5) * 5 + 1,
        lambda c: 1 + 1e-160 * c[:, :2],
        lambda c: 1e200 * c[:, :2],
    ],
    ids=["flat", "nothing left", "steps", "nearly flat", "huge"],
)
def test_where_there_is_nothing_to_follow_it_goes_on_probing(errors_of):
    with np.errstate(over="ignore", invalid="ignore"):
        state = run(GaussNewton(population_size=16, warm_up=16), errors_of, DIM, 12)
        candidates = GaussNewton(population_size=16, warm_up=16).ask(state)
    assert np.isfinite(candidates).all()
    assert len(np.unique(candidates, axis=0)) == 8


@pytest.mark.parametrize("size", [64, 128])
def test_no_candidate_is_asked_twice_in_a_generation(size):
    _, errors_of = linear(8)
    search = GaussNewton(population_size=size, warm_up=size)
    state = run(search, lambda c: np.tanh(errors_of(c)) + 0.1, DIM, 3)
    assert len(np.unique(search.ask(state), axis=0)) == size // 2


def test_a_best_half_of_equal_rows_is_no_end():
    search = GaussNewton(population_size=8, warm_up=64)
    population = np.random.default_rng(0).normal(size=(8, 4))
    population[:4] = 0.1
    state = search.init(population)
    state = search.tell(state, search.ask(state), (population**2).sum(axis=1), population)
    assert np.isfinite(search.ask(state)).all()


def test_golden_trajectory():
    _, errors_of = linear(7)
    state = run(GaussNewton(population_size=8, warm_up=24, seed=3), lambda c: np.sin(errors_of(c)), DIM, 12)
    assert (state.generation, state.evaluations) == (12, 52)
    assert state.best_loss == pytest.approx(0.005269480603097229, rel=1e-6)

"""What every optimizer must do, whatever its algorithm. A new one adds a line to VARIANTS."""

import itertools

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hofsteer.errors import ConfigError
from hofsteer.search import OPTIMIZERS, RandomSearch, make_optimizer

DIM = 6
BLOCKS = np.array([4, 4, 9, 9, 9, -1])
BOX = (np.full(DIM, -1.0), np.full(DIM, 3.0))

VARIANTS = {
    "de": [
        {"strategy": strategy, "crossover": crossover}
        for strategy, crossover in itertools.product(["rand/1", "best/1", "current-to-best/1"], ["binomial", "token"])
    ],
    "shade": [{}],
    "lshade": [{"budget": 60}, {"budget": 1_000_000}],  # its population shrinks from the first generation on, or never
    "cma": [{}],
    "sep-cma": [{}],
    "gauss-newton": [{"warm_up": 0}, {"warm_up": 20}, {"warm_up": 1_000_000}],  # probes at once, later or never
    "pso": [{"topology": "global"}, {"topology": "ring"}],
    "random": [{}],
}
SMALLEST = {"pso": 2, "random": 2}  # population; 4 for the others
CASES = [(name, settings) for name, variants in VARIANTS.items() for settings in variants]


def test_every_registered_optimizer_is_tested_here():
    assert set(VARIANTS) == set(OPTIMIZERS)


@pytest.fixture(params=CASES, ids=["-".join([name, *map(str, settings.values())]) for name, settings in CASES])
def make(request):
    name, settings = request.param

    def build(population_size=8, seed=3):
        return make_optimizer(name, population_size=population_size, seed=seed, **settings)

    build.smallest = SMALLEST.get(name, 4)
    return build


def first_population(size):
    return np.random.default_rng([size, 1]).uniform(-1, 3, (size, DIM))


def start(optimizer, bounds=None):
    return optimizer.init(first_population(optimizer.population_size), BLOCKS, bounds)


def loss_of(candidates):
    return ((candidates - 0.3) ** 2).sum(axis=1)


def flaky(candidates):
    """Losses of which a part of the space and a part of every batch have none."""
    losses = loss_of(candidates)
    losses[candidates[:, 0] < 0] = np.inf
    losses[::5] = np.inf
    return losses


def all_failed(candidates):
    return np.full(len(candidates), np.inf)


def told(optimizer, state, candidates, losses):
    """Tell losses, and the errors that they are made of."""
    return optimizer.tell(state, candidates, losses, np.asarray(candidates) - 0.3)


def advance(optimizer, state, generations, function=loss_of):
    for _ in range(generations):
        candidates = optimizer.ask(state)
        state = told(optimizer, state, candidates, function(candidates))
    return state


def copies(state):
    return {name: array.copy() for name, array in state.arrays().items()}


def assert_same_arrays(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        assert one[name].shape == other[name].shape, name
        assert one[name].tobytes() == other[name].tobytes(), name  # to the last bit


def frozen(array):
    array.flags.writeable = False
    return array


def freeze(state):
    for array in state.arrays().values():
        frozen(array)
    return state


def test_generation_0_asks_the_initial_population(make):
    state = start(make())
    assert state.generation == 0
    np.testing.assert_array_equal(make().ask(state), first_population(8))


def test_init_keeps_its_own_copies(make):
    population, blocks, bounds = first_population(8), BLOCKS.copy(), (BOX[0].copy(), BOX[1].copy())
    state = make().init(population, blocks, bounds)
    before = copies(state)
    for array in (population, blocks, *bounds):
        array[...] = 1
    assert_same_arrays(before, state.arrays())


FUNCTIONS = pytest.mark.parametrize("function", [loss_of, flaky, all_failed])


@FUNCTIONS
@pytest.mark.parametrize("generations", [0, 1, 3])
def test_ask_is_pure(make, generations, function):
    optimizer = make()
    state = freeze(advance(optimizer, start(optimizer, BOX), generations, function))
    before = copies(state)
    candidates = optimizer.ask(state)
    again = optimizer.ask(state)
    assert candidates.tobytes() == again.tobytes()
    again[...] = 99.0  # what was handed out is the caller's own
    assert optimizer.ask(state).tobytes() == candidates.tobytes()
    assert_same_arrays(before, state.arrays())


def test_ask_does_not_depend_on_what_ran_in_between(make):
    optimizer = make()
    state = advance(optimizer, start(optimizer), 2)
    candidates = optimizer.ask(state)
    advance(optimizer, state, 4)
    advance(make(seed=5), start(make(seed=5)), 2)
    assert make().ask(state).tobytes() == candidates.tobytes()


@FUNCTIONS
@pytest.mark.parametrize("generations", [0, 1, 3])
def test_tell_is_pure(make, generations, function):
    optimizer = make()
    state = freeze(advance(optimizer, start(optimizer, BOX), generations, function))
    before = copies(state)
    candidates = frozen(optimizer.ask(state))
    losses = frozen(function(candidates))
    next_state = told(optimizer, state, candidates, losses)
    after = copies(next_state)
    assert_same_arrays(before, state.arrays())
    assert_same_arrays(after, told(optimizer, state, candidates, losses).arrays())
    for array in (candidates, losses):
        array.flags.writeable = True
        array[...] = 99.0  # the next state does not look into the caller's arrays
    assert_same_arrays(after, next_state.arrays())


@FUNCTIONS
@pytest.mark.parametrize("bounds", [None, BOX], ids=["unbounded", "bounded"])
@pytest.mark.parametrize("stop", [0, 1, 3])
def test_resumed_run_is_the_same_run(make, tmp_path, bounds, stop, function):
    optimizer = make()
    straight = advance(optimizer, start(optimizer, bounds), 6, function)
    stopped = advance(optimizer, start(optimizer, bounds), stop, function)
    save_file(stopped.arrays(), tmp_path / "state.safetensors")
    loaded = load_file(tmp_path / "state.safetensors")
    assert {str(array.dtype) for array in loaded.values()} <= {"float64", "int64"}
    resumed = make().state_type.from_arrays(loaded)
    assert_same_arrays(stopped.arrays(), resumed.arrays())
    assert resumed.generation == stop
    resumed = advance(make(), resumed, 6 - stop, function)
    assert_same_arrays(straight.arrays(), resumed.arrays())
    assert resumed.best_loss == straight.best_loss
    assert resumed.best.tobytes() == straight.best.tobytes()


def test_arrays_of_another_kind_are_refused(make):
    optimizer = make()
    arrays = copies(start(optimizer))
    with pytest.raises(ValueError, match="got"):
        optimizer.state_type.from_arrays({**arrays, "no_such_array": np.zeros(1)})
    arrays.popitem()
    del arrays["population"]
    with pytest.raises(ValueError, match="got"):
        optimizer.state_type.from_arrays(arrays)


@pytest.mark.parametrize("bounds", [None, BOX], ids=["unbounded", "bounded"])
def test_any_population_size(make, bounds):
    for size in range(make.smallest, 41):
        optimizer = make(population_size=size)
        state, evaluations = start(optimizer, bounds), 0
        for generation in range(4):
            candidates = optimizer.ask(state)
            assert candidates.shape[1] == DIM
            assert min(make.smallest, 4) <= len(candidates) <= size
            assert candidates.dtype == np.float64
            assert np.isfinite(candidates).all()
            assert bounds is None or ((candidates >= BOX[0]) & (candidates <= BOX[1])).all()
            state = told(optimizer, state, candidates, loss_of(candidates))
            assert state.generation == generation + 1
            assert state.evaluations == (evaluations := evaluations + len(candidates))
        assert state.best.shape == (DIM,)


def test_a_population_below_the_smallest_is_refused(make):
    with pytest.raises(ConfigError, match=f"population_size wants an integer of at least {make.smallest}, got"):
        make(population_size=make.smallest - 1)


def test_the_smallest_population_lives_with_failures_and_resumes(make):
    optimizer = make(population_size=make.smallest)
    state = advance(optimizer, start(optimizer, BOX), 3, all_failed)
    state = advance(optimizer, state, 12, flaky)
    resumed = optimizer.state_type.from_arrays(copies(state))
    candidates = optimizer.ask(state)
    assert np.isfinite(candidates).all()
    assert optimizer.ask(resumed).tobytes() == candidates.tobytes()
    assert loss_of(state.best[None])[0] == state.best_loss < np.inf


def test_one_dimension(make):
    optimizer = make()
    state = optimizer.init(first_population(8)[:, :1], np.array([5]))
    assert advance(optimizer, state, 30).best_loss < 1e-3


def test_best_is_the_best_that_was_told(make):
    optimizer = make()
    state, lowest = start(optimizer), np.inf
    for _ in range(20):
        candidates = optimizer.ask(state)
        losses = loss_of(candidates)
        lowest = min(lowest, losses.min())
        state = told(optimizer, state, candidates, losses)
        assert state.best_loss == lowest
        assert loss_of(state.best[None])[0] == lowest
    state.best[...] = 99.0  # a copy
    assert loss_of(state.best[None])[0] == lowest


def test_it_searches(make):
    """Ten times closer than as many random points: a contract for any optimizer, no measure of a good one."""
    optimizer = make(population_size=24)
    if isinstance(optimizer, RandomSearch):
        pytest.skip("random search is what the others are measured against")
    state = advance(optimizer, start(optimizer), 80)
    random_points = np.random.default_rng(9).uniform(-1, 3, (24 * 80, DIM))
    assert state.best_loss < 0.1 * loss_of(random_points).min()


def test_another_seed_asks_other_candidates(make):
    state = advance(make(), start(make()), 1)
    asked = [make(seed=seed).ask(state).tobytes() for seed in range(5)]
    assert len(set(asked)) == 5


def test_another_generation_asks_other_candidates(make):
    optimizer = make()
    state = advance(optimizer, start(optimizer), 1)
    candidates = optimizer.ask(state)
    stuck = told(optimizer, state, candidates, np.full(len(candidates), np.inf))  # nothing was won
    assert optimizer.ask(stuck).tobytes() != candidates[: len(optimizer.ask(stuck))].tobytes()


def test_some_failed_evaluations_are_lived_with(make):
    optimizer = make(population_size=24)
    state = advance(optimizer, start(optimizer), 80, flaky)
    assert state.best_loss < 0.5 * loss_of(np.random.default_rng(9).uniform(-1, 3, (24 * 80, DIM))).min()
    assert loss_of(state.best[None])[0] == state.best_loss


def test_all_evaluations_may_fail(make):
    optimizer = make()
    state = start(optimizer)
    np.testing.assert_array_equal(state.best, first_population(8)[0])
    assert state.best_loss == np.inf
    for _ in range(3):
        candidates = optimizer.ask(state)
        assert np.isfinite(candidates).all()
        state = told(optimizer, state, candidates, np.full(len(candidates), np.inf))
        assert state.best_loss == np.inf
        assert np.isfinite(state.best).all()
    candidates = optimizer.ask(state)
    losses = np.full(len(candidates), np.inf)
    losses[3] = 7.0
    state = told(optimizer, state, candidates, losses)
    assert state.best_loss == 7.0
    np.testing.assert_array_equal(state.best, candidates[3])


def test_failed_parents_give_way_and_failures_displace_nobody(make):
    optimizer = make()
    state = start(optimizer)
    candidates = optimizer.ask(state)
    losses = loss_of(candidates)
    losses[[0, 2, 5]] = np.inf
    state = told(optimizer, state, candidates, losses)
    best, best_loss = state.best, losses.min()
    for _ in range(3):
        state = advance(optimizer, state, 1, all_failed)
        assert state.best_loss == best_loss
        np.testing.assert_array_equal(state.best, best)
    state = advance(optimizer, state, 30)
    for name in {"losses", "own_losses"} & set(state.arrays()):  # of those that keep parents
        assert np.isfinite(state.arrays()[name]).all()
    assert state.best_loss <= best_loss


def test_losses_of_any_magnitude(make):
    optimizer = make()
    state = advance(optimizer, start(optimizer), 1)
    for losses in ([1e300, 1e-300, 0.0, np.inf, 5e-324, 1.7e308, 1.0, 2.0], np.full(8, -1e300)):
        candidates = optimizer.ask(state)
        state = told(optimizer, state, candidates, np.array(losses[: len(candidates)]))
        assert np.isfinite(optimizer.ask(state)).all()
    assert state.best_loss == -1e300


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_nan_and_minus_infinity_are_refused(make, bad):
    optimizer = make()
    state = advance(optimizer, start(optimizer), 1)
    candidates = optimizer.ask(state)
    losses = loss_of(candidates)
    losses[2] = bad
    with pytest.raises(ValueError, match=f"got {bad} for candidate 2"):
        told(optimizer, state, candidates, losses)


def test_wrong_shapes_are_refused(make):
    optimizer = make()
    state = advance(optimizer, start(optimizer), 1)
    candidates = optimizer.ask(state)
    losses = loss_of(candidates)
    for wrong in (losses[1:], losses[:, None], losses[0], np.append(losses, 1.0)):
        with pytest.raises(ValueError, match=rf"want losses of shape \({len(losses)},\)"):
            told(optimizer, state, candidates, wrong)
    for wrong in (candidates[1:], candidates[:, 1:], candidates[0]):
        with pytest.raises(ValueError, match=rf"want candidates of shape \({len(losses)}, 6\)"):
            told(optimizer, state, wrong, losses)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3.5])
def test_candidates_that_no_ask_can_give_are_refused(make, bad):
    optimizer = make()
    state = advance(optimizer, start(optimizer, BOX), 1)
    candidates = optimizer.ask(state)
    losses = loss_of(candidates)
    candidates[3, 1] = bad
    with pytest.raises(ValueError, match=r"want finite numbers in \[-1.0, 3.0\], got .* at \[3, 1\]"):
        told(optimizer, state, candidates, losses)


def test_bounds_are_kept(make):
    def outward(candidates):  # lowest outside the box, beyond a corner
        return ((candidates - np.array([9, -9, 9, -9, 9, -9])) ** 2).sum(axis=1)

    def sides_left(bounds):  # was a candidate below the box, was one above?
        optimizer = make(population_size=24)
        state, below, above = start(optimizer, bounds), False, False
        for _ in range(30):
            candidates = optimizer.ask(state)
            below, above = below | (candidates < BOX[0]).any(), above | (candidates > BOX[1]).any()
            state = told(optimizer, state, candidates, outward(candidates))
        return bool(below), bool(above)

    lower, upper = BOX
    infinite = np.full(DIM, np.inf)
    assert sides_left(None) == (True, True)  # or the rest would prove nothing
    assert sides_left((lower, upper)) == (False, False)
    assert sides_left((-infinite, upper)) == (True, False)
    assert sides_left((lower, infinite)) == (False, True)


def test_a_coordinate_without_room_stays_where_it_is(make):
    lower, upper = BOX[0].copy(), BOX[1].copy()
    lower[2] = upper[2] = 0.7
    population = first_population(8)
    population[:, 2] = 0.7
    optimizer = make()
    state = optimizer.init(population, BLOCKS, (lower, upper))
    for _ in range(10):
        candidates = optimizer.ask(state)
        assert (candidates[:, 2] == 0.7).all()
        state = told(optimizer, state, candidates, loss_of(candidates))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"population": np.zeros((7, DIM))}, r"want a population of shape \(8, dim\), got \(7, 6\)"),
        ({"population": np.zeros(8)}, r"got \(8,\)"),
        ({"population": np.zeros((8, 0))}, r"got \(8, 0\)"),
        ({"population": np.full((8, DIM), np.nan)}, r"want finite numbers.*got nan at \[0, 0\]"),
        ({"population": np.full((8, DIM), 4.0)}, r"got 4.0 at \[0, 0\]"),
        ({"blocks": BLOCKS[1:]}, r"want blocks of 6 integers, got int64 \(5,\)"),
        ({"blocks": BLOCKS * 0.5}, "want blocks of 6 integers, got float64"),
        ({"bounds": (BOX[1], BOX[0])}, "want lower <= upper"),
        ({"bounds": (BOX[0], BOX[1] * np.nan)}, "want lower <= upper"),
        ({"bounds": (BOX[0][1:], BOX[1])}, r"got \(5,\) \(6,\)"),
    ],
)
def test_a_bad_start_is_refused(make, change, message):
    arguments = {"population": first_population(8), "blocks": BLOCKS, "bounds": BOX} | change
    with pytest.raises(ValueError, match=message):
        make().init(**arguments)

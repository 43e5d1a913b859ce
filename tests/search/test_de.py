"""Differential Evolution against a plain loop, against scipy and against its own past."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from scipy.optimize import differential_evolution, rosen
from scipy.stats import chisquare, mannwhitneyu

from hofsteer.errors import ConfigError
from hofsteer.search import DEState, DifferentialEvolution
from hofsteer.search.de import CROSSOVER, DONORS, Crossover, Strategy

STRATEGIES = get_args(Strategy)
VARIANTS = list(itertools.product(STRATEGIES, get_args(Crossover)))
BLOCKS = np.array([7, 7, -2, 7, 30, 30, -2, 5])  # four tokens, in pieces


def sphere(x):
    return (x**2).sum(axis=1)


def rosenbrock(x):
    return rosen(x.T)


def parents(size=6, dim=8, generation=3, **more):
    """A state in the middle of a search; the best is at row 4, and not all losses are finite."""
    rng = np.random.default_rng([11, size, dim])
    losses = rng.uniform(1, 2, size)
    losses[1], losses[4 % size] = np.inf, 0.5
    return DEState(rng.normal(size=(size, dim)), losses, generation=generation, **more)


def advance(de, state, generations, function=sphere):
    for _ in range(generations):
        trials = de.ask(state)
        state = de.tell(state, trials, function(trials))
    return state


# --- the arithmetic, in plain loops -----------------------------------------------------------------------------------


def plain_trial(de, x, best, target, order, keys, always, block_of):
    """Trial of one target: loops and scalars only. `order`, `keys` and `always` are its random numbers."""
    size, dim = x.shape
    ranked = sorted((j for j in range(size) if j != target), key=lambda j: order[target, j])
    a, b, c = ranked[:3]
    tokens = sorted(set(block_of))
    trial = []
    for k in range(dim):
        difference = de.differential_weight * (x[b, k] - x[c, k])
        if de.strategy == "rand/1":
            mutant = x[a, k] + difference
        elif de.strategy == "best/1":
            mutant = x[best, k] + difference
        else:
            mutant = x[target, k] + de.differential_weight * (x[best, k] - x[target, k]) + difference
        unit = tokens.index(block_of[k])
        crosses = keys[target, unit] < de.crossover_rate or unit == always[target]
        trial.append(mutant if crosses else x[target, k])
    return np.array(trial)


def plain_generation(de, state, function, immediate):
    """One generation in a loop over targets; `immediate` writes a winner into the population at once."""
    x, losses = state.population.copy(), state.losses.copy()
    size, dim = x.shape
    block_of = list(state.blocks) if de.crossover == "token" else list(range(dim))
    order = np.random.default_rng([de.seed, state.generation, DONORS]).random((size, size))
    rng = np.random.default_rng([de.seed, state.generation, CROSSOVER])
    keys = rng.random((size, len(set(block_of))))
    always = rng.integers(len(set(block_of)), size=size)
    source, best, trials = (x if immediate else x.copy()), int(losses.argmin()), []
    for target in range(size):
        best = int(losses.argmin()) if immediate else best
        trials.append(plain_trial(de, source, best, target, order, keys, always, block_of))
        loss = function(trials[-1][None])[0]
        if loss <= losses[target]:
            x[target], losses[target] = trials[-1], loss
    return np.array(trials), x, losses


@pytest.mark.parametrize(("strategy", "crossover"), VARIANTS)
@pytest.mark.parametrize("size", [4, 6, 13])
def test_trials_are_those_of_a_plain_loop(strategy, crossover, size):
    de = DifferentialEvolution(size, 0.7, 0.4, strategy, crossover, seed=5)
    state = parents(size, blocks=BLOCKS)
    trials, _, _ = plain_generation(de, state, sphere, immediate=False)
    np.testing.assert_allclose(de.ask(state), trials, rtol=1e-13, atol=1e-15)
    assert (trials != state.population).any(axis=1).all()


def test_a_mutant_worked_out_by_hand():
    # Donors of row 0 under this seed, as `_donors` gives them, and the numbers written out.
    x = np.array([[0.0, 0.0], [1.0, 10.0], [2.0, 40.0], [4.0, 80.0]])
    state = DEState(x, np.array([3.0, 2.0, 1.0, 4.0]), generation=1)
    de = DifferentialEvolution(4, 0.5, 1.0, "rand/1", seed=1)
    donors = de._donors(state)[0].tolist()
    by_hand = {
        "rand/1": {  # a + (b - c) / 2
            (1, 2, 3): [0.0, -10.0],
            (1, 3, 2): [2.0, 30.0],
            (2, 1, 3): [0.5, 5.0],
            (2, 3, 1): [3.5, 75.0],
            (3, 1, 2): [3.5, 65.0],
            (3, 2, 1): [4.5, 95.0],
        },
        "best/1": {  # the best is row 2: (2, 40) + (b - c) / 2
            (1, 2, 3): [1.0, 20.0],
            (1, 3, 2): [3.0, 60.0],
            (2, 1, 3): [0.5, 5.0],
            (2, 3, 1): [3.5, 75.0],
            (3, 1, 2): [1.5, 25.0],
            (3, 2, 1): [2.5, 55.0],
        },
        "current-to-best/1": {  # the target is the origin: (2, 40) / 2 + (b - c) / 2
            (1, 2, 3): [0.0, 0.0],
            (1, 3, 2): [2.0, 40.0],
            (2, 1, 3): [-0.5, -15.0],
            (2, 3, 1): [2.5, 55.0],
            (3, 1, 2): [0.5, 5.0],
            (3, 2, 1): [1.5, 35.0],
        },
    }
    for strategy, mutants in by_hand.items():
        np.testing.assert_allclose(replace(de, strategy=strategy).ask(state)[0], mutants[tuple(donors)], rtol=1e-15)


@pytest.mark.parametrize("size", [4, 5, 8, 20])
def test_donors_are_distinct_and_never_the_target(size):
    de = DifferentialEvolution(size, seed=2)
    for generation in range(1, 200):
        donors = de._donors(parents(size, generation=generation))
        assert donors.shape == (size, 3)
        assert donors.min() >= 0
        assert donors.max() < size
        everyone = np.column_stack([np.arange(size), donors])
        assert all(len(set(row)) == 4 for row in everyone.tolist())


def test_every_triple_of_donors_is_equally_likely():
    de = DifferentialEvolution(5, seed=3)
    counts = dict.fromkeys(itertools.permutations([0, 2, 3, 4], 3), 0)  # of target 1
    for generation in range(1, 4001):
        counts[tuple(de._donors(parents(5, generation=generation))[1].tolist())] += 1
    assert chisquare(list(counts.values())).pvalue > 0.001


# --- crossover --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_crossover_exactly_one_gene_changes(strategy):
    de = DifferentialEvolution(40, crossover_rate=0.0, strategy=strategy)
    state = parents(40)
    changed = de.ask(state) != state.population
    assert (changed.sum(axis=1) == 1).all()
    assert changed.any(axis=0).all()  # any gene can be the one


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_crossover_exactly_one_block_changes(strategy):
    de = DifferentialEvolution(40, crossover_rate=0.0, strategy=strategy, crossover="token")
    state = parents(40, blocks=BLOCKS)
    changed = de.ask(state) != state.population
    for row in changed:
        assert len(set(BLOCKS[row])) == 1
        assert set(BLOCKS[row]).isdisjoint(BLOCKS[~row])
    assert changed.any(axis=0).all()


@pytest.mark.parametrize(("strategy", "crossover"), VARIANTS)
def test_with_full_crossover_every_gene_changes(strategy, crossover):
    de = DifferentialEvolution(40, crossover_rate=1.0, strategy=strategy, crossover=crossover)
    state = parents(40, blocks=BLOCKS)
    assert (de.ask(state) != state.population).all()


def test_token_crossover_never_splits_a_block():
    de = DifferentialEvolution(30, crossover_rate=0.5, crossover="token")
    seen = set()
    for generation in range(1, 20):
        state = parents(30, blocks=BLOCKS, generation=generation)
        for row in de.ask(state) != state.population:
            assert set(BLOCKS[row]).isdisjoint(BLOCKS[~row])
            seen.add(frozenset(BLOCKS[row].tolist()))
    assert len(seen) == 2**4 - 1  # every set of tokens but the empty one


def test_binomial_crossover_does_not_look_at_blocks():
    de = DifferentialEvolution(30, crossover_rate=0.5)
    state = parents(30, blocks=BLOCKS)
    changed = de.ask(state) != state.population
    assert any(set(BLOCKS[row]) & set(BLOCKS[~row]) for row in changed)
    np.testing.assert_array_equal(de.ask(replace(state, blocks=None)), de.ask(state))


@pytest.mark.parametrize(("crossover", "units"), [("binomial", 8), ("token", 4)])
def test_units_cross_as_often_as_the_rate_says(crossover, units):
    rate, size = 0.3, 5000
    state = replace(parents(6, blocks=BLOCKS), population=np.zeros((size, 8)))
    crosses = DifferentialEvolution(crossover_rate=rate, crossover=crossover)._crosses(state)
    first = np.unique(BLOCKS, return_index=True)[1] if crossover == "token" else np.arange(8)
    want = rate + (1 - rate) / units  # with CR, or as the one that always crosses
    assert abs(crosses[:, first].mean() - want) < 4 * np.sqrt(want * (1 - want) / (size * units))
    assert crosses.any(axis=1).all()


def test_token_crossover_needs_blocks():
    de = DifferentialEvolution(6, crossover="token")
    message = "crossover 'token' wants a block id for every coordinate, got None; try 'binomial'"
    with pytest.raises(ConfigError, match=message):
        de.init(parents(6).population)
    with pytest.raises(ConfigError, match=message):  # a state of another run
        de.ask(parents(6))


# --- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strategy", "crossover"), VARIANTS)
def test_what_leaves_the_bounds_is_set_midway_between_bound_and_parent(strategy, crossover):
    de = DifferentialEvolution(30, 0.9, 0.8, strategy, crossover)
    free = parents(30, blocks=BLOCKS)
    lower, upper = free.population.min(axis=0) - 0.1, free.population.max(axis=0) + 0.1
    bounded = de.ask(replace(free, bounds=(lower, upper)))
    wild = de.ask(free)
    below, above = wild < lower, wild > upper
    assert below.any()
    assert above.any()
    np.testing.assert_allclose(bounded[below], ((lower + free.population) / 2)[below], rtol=1e-15)
    np.testing.assert_allclose(bounded[above], ((upper + free.population) / 2)[above], rtol=1e-15)
    inside = ~below & ~above
    np.testing.assert_array_equal(bounded[inside], wild[inside])


# --- selection --------------------------------------------------------------------------------------------------------


def test_a_trial_replaces_its_own_parent_if_it_is_no_worse():
    inf = np.inf
    state = DEState(np.arange(12.0).reshape(6, 2), np.array([1.0, 1.0, 1.0, inf, inf, 1.0]), generation=4)
    trials = -state.population - 1
    told = DifferentialEvolution(6).tell(state, trials, np.array([0.5, 1.0, 1.5, inf, 2.0, inf]))
    won = np.array([True, True, False, True, True, False])  # rows keep their places
    np.testing.assert_array_equal(told.population, np.where(won[:, None], trials, state.population))
    np.testing.assert_array_equal(told.losses, [0.5, 1.0, 1.0, inf, 2.0, 1.0])
    assert told.generation == 5
    assert told.best_loss == 0.5


@pytest.mark.parametrize(("strategy", "crossover"), VARIANTS)
def test_scipy_issue_8256_no_trial_sees_a_winner_of_its_own_generation(strategy, crossover):
    """Trials made from a half-replaced population drew the search to wrong minima there (scipy issue 8256)."""
    de = DifferentialEvolution(12, 0.5, 0.9, strategy, crossover, seed=8)
    state = advance(de, de.init(parents(12).population, BLOCKS), 2)
    trials = de.ask(state)
    told = de.tell(state, trials, sphere(trials))
    assert 0 < (told.population != state.population).any(axis=1).sum() < 12
    deferred, immediate = (plain_generation(de, state, sphere, immediate)[1] for immediate in (False, True))
    np.testing.assert_allclose(told.population, deferred, rtol=1e-12, atol=1e-14)
    assert not np.allclose(told.population, immediate, rtol=1e-3)  # so the line above can tell the two apart


@pytest.mark.parametrize("strategy", ["best/1", "current-to-best/1"])
def test_with_all_failed_the_first_is_the_best(strategy):
    de = DifferentialEvolution(6, 0.5, 1.0, strategy)
    state = replace(parents(6), losses=np.full(6, np.inf))
    first = replace(state, losses=np.array([1.0, 2, 2, 2, 2, 2]))
    last = replace(state, losses=np.array([2.0, 2, 2, 2, 2, 1]))
    np.testing.assert_array_equal(de.ask(state), de.ask(first))
    assert (de.ask(state) != de.ask(last)).any()


@pytest.mark.parametrize("blocks", [None, BLOCKS])
@pytest.mark.parametrize("bounds", [None, (np.full(8, -5.0), np.full(8, np.inf))])
def test_none_survives_the_round_trip(blocks, bounds):
    state = parents(blocks=blocks, bounds=bounds)
    again = DEState.from_arrays(state.arrays())
    assert (again.blocks is None) == (blocks is None)
    assert (again.bounds is None) == (bounds is None)
    de = DifferentialEvolution(6)
    np.testing.assert_array_equal(de.ask(again), de.ask(state))


@pytest.mark.parametrize("missing", ["population", "losses", "generation", "lower", "upper"])
def test_a_state_with_a_part_missing_is_refused(missing):
    arrays = parents(blocks=BLOCKS, bounds=(np.full(8, -5.0), np.full(8, 5.0))).arrays()
    del arrays[missing]
    with pytest.raises(ValueError, match="want a DE state"):
        DEState.from_arrays(arrays)


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"population_size": 3}, "population_size wants an integer of at least 4, got 3"),
        ({"population_size": 8.0}, "population_size wants an integer of at least 4, got 8.0"),
        ({"seed": -1}, "seed wants an integer of at least 0, got -1"),
        ({"differential_weight": 0.0}, "differential_weight wants a number in (0, 2], got 0.0"),
        ({"differential_weight": 2.1}, "differential_weight wants a number in (0, 2], got 2.1"),
        ({"differential_weight": float("nan")}, "differential_weight wants a number in (0, 2], got nan"),
        ({"crossover_rate": -0.1}, "crossover_rate wants a number in [0, 1], got -0.1"),
        ({"crossover_rate": 1.1}, "crossover_rate wants a number in [0, 1], got 1.1"),
        ({"crossover_rate": float("nan")}, "crossover_rate wants a number in [0, 1], got nan"),
        (
            {"strategy": "rand1"},
            "strategy wants one of 'rand/1', 'best/1', 'current-to-best/1', got 'rand1'; did you mean 'rand/1'?",
        ),
        (
            {"crossover": "tokens"},
            "crossover wants one of 'binomial', 'token', got 'tokens'; did you mean 'token'?",
        ),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(setting, message):
    with pytest.raises(ConfigError) as refused:
        DifferentialEvolution(**setting)
    assert str(refused.value) == message


def test_settings_at_the_edge_are_accepted():
    for edge in ({"differential_weight": 2}, {"crossover_rate": 0}, {"crossover_rate": 1}, {"population_size": 4}):
        assert DifferentialEvolution(**edge)


# --- does it find minima, and as well as others? ----------------------------------------------------------------------


def start(de, dim, seed=0):
    """A uniform start in [-5, 10], not centred on the minimum, with blocks of two."""
    population = np.random.default_rng([77, seed]).uniform(-5, 10, (de.population_size, dim))
    return de.init(population, np.arange(dim) // 2)


WEIGHTS = {"rand/1": 0.5, "best/1": 0.7, "current-to-best/1": 0.7}  # at 0.5 the greedy two stand still, scipy's too


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_converges_on_sphere(strategy):
    de = DifferentialEvolution(40, WEIGHTS[strategy], 0.9, strategy)
    state = advance(de, start(de, 10), 300)
    assert state.best_loss < 1e-8
    np.testing.assert_allclose(state.best, 0, atol=1e-4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_converges_on_rosenbrock(strategy):
    de = DifferentialEvolution(40, 0.7, 0.9, strategy)
    state = advance(de, start(de, 5), 500, rosenbrock)
    assert state.best_loss < 1e-5
    np.testing.assert_allclose(state.best, 1, atol=1e-2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_converges_with_token_crossover(strategy):
    de = DifferentialEvolution(40, WEIGHTS[strategy], 0.9, strategy, "token")
    assert advance(de, start(de, 10), 400).best_loss < 1e-6


SCIPY_NAMES = {"rand/1": "rand1bin", "best/1": "best1bin", "current-to-best/1": "currenttobest1bin"}
SEEDS, DIM, GENERATIONS, LEVEL = range(20), 10, 100, 0.001


def our_losses(function, **settings):
    runs = [DifferentialEvolution(seed=seed, **settings) for seed in SEEDS]
    return [advance(de, start(de, DIM, de.seed), 1 + GENERATIONS, function).best_loss for de in runs]


def scipy_losses(function, strategy, population_size, differential_weight, crossover_rate):
    """The same starts, settings and number of evaluations in scipy; bounds too wide to matter to either."""
    losses = []
    for seed in SEEDS:
        found = differential_evolution(
            lambda x: function(x.T),
            [(-1000, 1000)] * DIM,
            strategy=SCIPY_NAMES[strategy],
            init=np.random.default_rng([77, seed]).uniform(-5, 10, (population_size, DIM)),
            mutation=differential_weight,
            recombination=crossover_rate,
            maxiter=GENERATIONS,
            tol=0,
            polish=False,
            updating="deferred",
            vectorized=True,
            rng=seed,
        )
        assert found.nit == GENERATIONS
        losses.append(found.fun)
    return losses


def deficit(ours, theirs):
    """p of the one-sided Mann-Whitney test: small if our losses are higher than theirs."""
    return mannwhitneyu(ours, theirs, alternative="greater").pvalue


@pytest.mark.parametrize("function", [sphere, rosenbrock])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_worse_than_scipy_at_the_same_settings(strategy, function):
    settings = {
        "strategy": strategy,
        "population_size": 30,
        "differential_weight": 0.6,
        "crossover_rate": 0.9,
    }
    ours, theirs = our_losses(function, **settings), scipy_losses(function, **settings)
    assert deficit(ours, theirs) > LEVEL
    assert deficit(theirs, ours) > LEVEL  # it is the same algorithm: an advantage would be a difference too
    handicapped = our_losses(function, **settings | {"differential_weight": 1.2})
    assert deficit(handicapped, theirs) < LEVEL  # a deficit would be seen


# --- the golden trajectory --------------------------------------------------------------------------------------------
# After a change that is meant to change the numbers: PYTHONPATH=src python tests/search/test_de.py
# then read the diff of the file and say in the CHANGELOG that searches of older versions cannot be repeated.

GOLDEN = Path(__file__).parents[1] / "golden" / "de_sphere.json"


def trajectory(strategy, crossover):
    """Best loss after each of 40 generations on the sphere in six dimensions."""
    de = DifferentialEvolution(10, 0.5, 0.9, strategy, crossover, seed=2013)
    state, best = start(de, 6), []
    for _ in range(40):
        state = advance(de, state, 1)
        best.append(state.best_loss)
    return best


@pytest.mark.parametrize(("strategy", "crossover"), VARIANTS)
def test_golden_trajectory(strategy, crossover):
    recorded = json.loads(GOLDEN.read_text(encoding="utf-8"))["best_loss"][f"{strategy} {crossover}"]
    assert len(recorded) == 40
    assert recorded[-1] < recorded[0]
    np.testing.assert_allclose(trajectory(strategy, crossover), recorded, rtol=1e-12)


def test_golden_file_has_no_stale_rows():
    recorded = json.loads(GOLDEN.read_text(encoding="utf-8"))["best_loss"]
    assert set(recorded) == {" ".join(variant) for variant in VARIANTS}


if __name__ == "__main__":
    rows = {" ".join(variant): trajectory(*variant) for variant in VARIANTS}
    GOLDEN.write_text(json.dumps({"schema": 1, "best_loss": rows}, indent=1) + "\n", encoding="utf-8")

"""The particle swarm by hand, against a plain loop, and against pymoo and inspyred (tools/pso_oracle.py)."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from hofsteer.errors import ConfigError
from hofsteer.search.pso import OWN, SHARED, ParticleSwarm, PSOState
from pso_oracle import (
    DIM,
    GENERATIONS,
    GOLDEN,
    RANGES,
    SEEDS,
    SETTINGS,
    SHARED_SEEDS,
    SIZE,
    first_population,
    losses_of,
)

TOPOLOGIES = ["global", "ring"]
INF = np.inf


def swarm(size=6, dim=8, generation=3, **more):
    """A state in the middle of a search; not all losses are finite."""
    rng = np.random.default_rng([12, size, dim])
    own_losses = rng.uniform(1, 2, size)
    own_losses[-1] = INF
    return PSOState(
        population=rng.normal(size=(size, dim)),
        velocities=rng.normal(size=(size, dim)),
        own_best=rng.normal(size=(size, dim)),
        own_losses=own_losses,
        spread=rng.uniform(0.5, 2, dim),
        generation=generation,
        **more,
    )


def advance(pso, state, generations, function="sphere"):
    for _ in range(generations):
        particles = pso.ask(state)
        state = pso.tell(state, particles, losses_of(function, particles))
    return state


# --- the arithmetic ---------------------------------------------------------------------------------------------------


def test_a_step_worked_out_by_hand(monkeypatch):
    drawn = {OWN: 0.5, SHARED: 0.25}  # so the pulls are 1 (p - x) and 1/2 (g - x)
    monkeypatch.setattr(ParticleSwarm, "_uniform", lambda self, state, stream: drawn[stream])
    state = PSOState(
        population=np.array([[0.0, 0], [4, 2], [8, -4]]),
        velocities=np.array([[2.0, 4], [0, 0], [-1, 1]]),
        own_best=np.array([[1.0, 0], [4, 2], [6, 0]]),
        own_losses=np.array([3.0, 1, 2]),  # so g is (4, 2), the second particle itself
        spread=np.array([10.0, 10]),
        generation=1,
    )
    pso = ParticleSwarm(3, inertia=0.5, cognitive=2.0, social=2.0, velocity_limit=0.5)
    # v of the first: (1, 2) + (1, 0) + (2, 1); of the third: (-0.5, 0.5) + (-2, 4) + (-2, 3), held at 5
    there = pso.ask(state)
    np.testing.assert_array_equal(there, [[4, 3], [4, 2], [3.5, 1]])
    told = pso.tell(state, there, np.array([2.5, 9, 0.5]))
    np.testing.assert_array_equal(told.population, there)
    np.testing.assert_array_equal(told.velocities, [[4, 3], [0, 0], [-4.5, 5]])
    np.testing.assert_array_equal(told.own_best, [[4, 3], [4, 2], [3.5, 1]])
    np.testing.assert_array_equal(told.own_losses, [2.5, 1, 0.5])
    np.testing.assert_array_equal(told.spread, state.spread)
    np.testing.assert_array_equal(told.best, [3.5, 1])
    # and on: 0.5 (4, 3) + 1/2 ((3.5, 1) - (4, 3)) for the first, nothing but the last term for the second
    np.testing.assert_array_equal(pso.ask(told), [[5.75, 3.5], [3.75, 1.5], [1.25, 3.5]])


def plain_step(pso, state):
    """Where the particles go: loops and scalars only."""
    size, dim = state.population.shape
    own, shared = (
        np.random.default_rng([pso.seed, state.generation, stream]).random((size, dim)) for stream in (OWN, SHARED)
    )
    there = np.empty((size, dim))
    for i in range(size):
        around = range(size) if pso.topology == "global" else [(i - 1) % size, i, (i + 1) % size]
        leader = min(around, key=lambda j: state.own_losses[j])
        for k in range(dim):
            x = state.population[i, k]
            velocity = pso.inertia * state.velocities[i, k]
            velocity += pso.cognitive * own[i, k] * (state.own_best[i, k] - x)
            velocity += pso.social * shared[i, k] * (state.own_best[leader, k] - x)
            limit = pso.velocity_limit * state.spread[k]
            there[i, k] = x + max(-limit, min(limit, velocity))
    return there


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("size", [2, 3, 4, 13])
@pytest.mark.parametrize("velocity_limit", [0.7, 1e6])
def test_a_step_is_that_of_a_plain_loop(topology, size, velocity_limit):
    pso = ParticleSwarm(size, 0.6, 1.7, 1.3, velocity_limit, topology, seed=5)
    state = swarm(size)
    np.testing.assert_allclose(pso.ask(state), plain_step(pso, state), rtol=1e-13, atol=1e-15)


def test_the_defaults_are_the_constriction_coefficients():
    phi = 2.05 + 2.05
    chi = 2 / (phi - 2 + np.sqrt(phi**2 - 4 * phi))
    pso = ParticleSwarm()
    np.testing.assert_allclose([pso.inertia, pso.cognitive, pso.social], [chi, 2.05 * chi, 2.05 * chi], rtol=1e-4)


def test_every_coordinate_of_every_pull_has_its_own_number():
    pso, state = ParticleSwarm(6, seed=5), swarm()
    numbers = [pso._uniform(replace(state, generation=g), stream) for g in range(1, 400) for stream in (OWN, SHARED)]
    assert len(np.unique(numbers)) == np.size(numbers)
    np.testing.assert_allclose([np.min(numbers), np.mean(numbers), np.max(numbers)], [0, 0.5, 1], atol=0.01)


# --- neighbours -------------------------------------------------------------------------------------------------------


def leaders(topology, own_losses):
    state = replace(swarm(len(own_losses)), own_losses=np.array(own_losses))
    return ParticleSwarm(len(own_losses), topology=topology)._leaders(state).tolist()


def test_neighbours_are_everyone_or_the_next_on_the_ring():
    losses = [5.0, 1, 4, 3, 2, INF]
    assert leaders("global", losses) == [1, 1, 1, 1, 1, 1]
    assert leaders("ring", losses) == [1, 1, 1, 4, 4, 4]
    assert leaders("ring", [3.0, 9, 9, 9, 9, 9]) == [0, 0, 1, 2, 3, 0]  # a particle that knows no better looks back
    assert leaders("ring", [2.0, 1]) == [1, 1]


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_news_travels_once_around_the_ring_or_at_once(topology):
    state = replace(swarm(9), own_losses=np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8]))
    changed = replace(state, own_best=state.own_best + (np.arange(9) == 0)[:, None])
    pso = ParticleSwarm(9, topology=topology, velocity_limit=1e6)
    moved = (pso.ask(state) != pso.ask(changed)).any(axis=1)
    np.testing.assert_array_equal(moved, np.isin(np.arange(9), [8, 0, 1]) | (topology == "global"))


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_swarm_whose_start_failed_still_asks_other_points(topology):
    pso = ParticleSwarm(6, topology=topology)
    state = pso.init(swarm().population)
    for _ in range(3):
        here = pso.ask(state)
        state = pso.tell(state, here, np.full(6, INF))
        assert ((pso.ask(state) != here).any(axis=1)).sum() >= 5  # at first one of all sits on the point that pulls


# --- velocities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("velocity_limit", [0.01, 0.5, 3.0])
def test_no_coordinate_moves_further_than_the_limit(velocity_limit):
    pso = ParticleSwarm(20, velocity_limit=velocity_limit)
    state = advance(pso, pso.init(np.random.default_rng(4).normal(size=(20, 3)) * [1, 10, 100]), 1)
    deviations = np.array([np.std(column, ddof=1) for column in state.population.T])
    longest = np.zeros(3)
    for _ in range(10):
        state = advance(pso, state, 1)
        longest = np.maximum(longest, np.abs(state.velocities).max(axis=0))
    ratio = longest / (velocity_limit * deviations)
    assert ratio.max() < 1 + 1e-9
    if velocity_limit < 1:
        np.testing.assert_allclose(ratio, 1, rtol=1e-9)  # so it did hold some of them


def test_the_unit_of_a_coordinate_does_not_matter():
    units = 2.0 ** np.arange(-4, 4)  # powers of two, so that nothing is rounded
    pso, population = ParticleSwarm(6), swarm().population
    one, other = pso.init(population), pso.init(population * units)
    for _ in range(10):
        particles = pso.ask(one)
        np.testing.assert_array_equal(pso.ask(other), particles * units)
        losses = losses_of("rastrigin", particles)
        one, other = pso.tell(one, particles, losses), pso.tell(other, particles * units, losses)


def test_a_swarm_starts_at_rest():
    pso = ParticleSwarm(6)
    state = pso.tell(pso.init(swarm().population), swarm().population, np.arange(6.0))
    assert (state.velocities == 0).all()
    assert (pso.ask(state)[0] == state.population[0]).all()  # already at its own best and at everyone's
    assert (pso.ask(state)[1:] != state.population[1:]).all()


def test_where_all_particles_agree_none_moves():
    population = swarm().population
    population[:, 3] = 0.1
    pso = ParticleSwarm(6)
    state = advance(pso, pso.init(population), 20)
    assert (state.population[:, 3] == 0.1).all()
    assert (state.population[:, 2] != population[:, 2]).all()


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_what_leaves_the_bounds_goes_midway_and_keeps_the_velocity_it_flew(topology):
    pso, free = ParticleSwarm(30, velocity_limit=2.0, topology=topology), swarm(30)
    here = free.population
    lower, upper = here.min(axis=0) - 0.1, here.max(axis=0) + 0.1
    bounded = replace(free, bounds=(lower, upper))
    wild, held = pso.ask(free), pso.ask(bounded)
    below, above = wild < lower, wild > upper
    assert below.any()
    assert above.any()
    np.testing.assert_allclose(held[below], ((lower + here) / 2)[below], rtol=1e-15)
    np.testing.assert_allclose(held[above], ((upper + here) / 2)[above], rtol=1e-15)
    np.testing.assert_array_equal(held[~below & ~above], wild[~below & ~above])
    np.testing.assert_array_equal(pso.tell(bounded, held, np.ones(30)).velocities, held - here)


# --- memory -----------------------------------------------------------------------------------------------------------


def test_a_point_that_is_no_worse_becomes_the_own_best():
    state = replace(swarm(), own_losses=np.array([1.0, 1, 1, INF, INF, 1]))
    particles = ParticleSwarm(6).ask(state)
    told = ParticleSwarm(6).tell(state, particles, np.array([0.5, 1, 1.5, INF, 2, INF]))
    won = np.array([True, True, False, True, True, False])
    np.testing.assert_array_equal(told.own_best, np.where(won[:, None], particles, state.own_best))
    np.testing.assert_array_equal(told.own_losses, [0.5, 1, 1, INF, 2, 1])
    np.testing.assert_array_equal(told.population, particles)  # a particle is where it flew, for better or worse
    assert (told.generation, told.evaluations, told.best_loss) == (4, 24, 0.5)
    np.testing.assert_array_equal(told.best, particles[0])


@pytest.mark.parametrize("bounds", [None, (np.full(8, -5.0), np.full(8, INF))])
def test_bounds_or_none_survive_the_round_trip(bounds):
    state = swarm(bounds=bounds)
    again = PSOState.from_arrays(state.arrays())
    assert (again.bounds is None) == (bounds is None)
    np.testing.assert_array_equal(ParticleSwarm(6).ask(again), ParticleSwarm(6).ask(state))


@pytest.mark.parametrize("missing", list(swarm(bounds=(np.zeros(8), np.ones(8))).arrays()))
def test_a_state_with_a_part_missing_is_refused(missing):
    arrays = swarm(bounds=(np.zeros(8), np.ones(8))).arrays()
    del arrays[missing]
    with pytest.raises(ValueError, match="want a PSO state"):
        PSOState.from_arrays(arrays)


# --- settings ---------------------------------------------------------------------------------------------------------

NAN = float("nan")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"population_size": 1}, "population_size wants an integer of at least 2, got 1"),
        ({"population_size": 8.0}, "population_size wants an integer of at least 2, got 8.0"),
        ({"seed": -1}, "seed wants an integer of at least 0, got -1"),
        ({"inertia": -0.1}, "inertia wants a number in [0, 1), got -0.1"),
        ({"inertia": 1.0}, "inertia wants a number in [0, 1), got 1.0"),
        ({"inertia": NAN}, "inertia wants a number in [0, 1), got nan"),
        ({"cognitive": -1.0}, "cognitive wants a finite number of at least 0, got -1.0"),
        ({"social": float("inf")}, "social wants a finite number of at least 0, got inf"),
        ({"social": NAN}, "social wants a finite number of at least 0, got nan"),
        ({"velocity_limit": 0.0}, "velocity_limit wants a finite number above 0, got 0.0"),
        ({"velocity_limit": float("inf")}, "velocity_limit wants a finite number above 0, got inf"),
        ({"velocity_limit": NAN}, "velocity_limit wants a finite number above 0, got nan"),
        ({"topology": "rings"}, "topology wants one of 'global', 'ring', got 'rings'; did you mean 'ring'?"),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(setting, message):
    with pytest.raises(ConfigError) as refused:
        ParticleSwarm(**setting)
    assert str(refused.value) == message


def test_settings_at_the_edge_are_accepted():
    for edge in ({"inertia": 0}, {"cognitive": 0}, {"social": 0}, {"population_size": 2}):
        assert ParticleSwarm(**edge)


# --- does it find minima, and as well as others? ----------------------------------------------------------------------


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_converges_on_sphere_and_on_a_plane_of_rosenbrock(topology):
    for function, dim, enough in (("sphere", 10, 1e-6), ("rosenbrock", 2, 1e-4)):
        pso = ParticleSwarm(30, topology=topology)
        start = np.random.default_rng(8).uniform(-5, 10, (30, dim))  # not centred on the minimum
        assert advance(pso, pso.init(start), 300, function).best_loss < enough


ORACLES = json.loads(GOLDEN.read_text(encoding="utf-8"))["oracles"]
CASES = [(package, function) for package in SETTINGS for function in RANGES]
LEVEL = 0.01 / len(CASES)  # 0.01 for all of them together (Bonferroni)


def our_losses(function, seeds, **settings):
    runs = [ParticleSwarm(SIZE, seed=seed, **settings) for seed in seeds]
    return [
        advance(pso, pso.init(first_population(function, pso.seed)), 1 + GENERATIONS, function).best_loss
        for pso in runs
    ]


def deficit(ours, theirs):
    """p of the one-sided Mann-Whitney test: small if our losses are higher than theirs."""
    return mannwhitneyu(ours, theirs, alternative="greater").pvalue


@pytest.mark.parametrize(("package", "function"), CASES)
def test_with_the_same_random_numbers_it_ends_where_the_others_end(package, function):
    """Their 100 generations with our numbers: all of the algorithm is compared, nothing is left to chance."""
    theirs = ORACLES[package]["with_our_numbers"][function]
    np.testing.assert_allclose(our_losses(function, SHARED_SEEDS, **SETTINGS[package]), theirs, rtol=1e-9)


@pytest.mark.parametrize(("package", "function"), CASES)
def test_no_worse_than_the_others_with_their_own_random_numbers(package, function):
    ours, theirs = our_losses(function, SEEDS, **SETTINGS[package]), ORACLES[package]["final_losses"][function]
    assert deficit(ours, theirs) > LEVEL
    assert deficit(theirs, ours) > LEVEL  # it is the same algorithm: an advantage would be a difference too


@pytest.mark.parametrize("package", SETTINGS)
def test_a_deficit_would_be_seen(package):
    theirs = ORACLES[package]["final_losses"]["sphere"]
    for handicap in ({"inertia": 0.9}, {"social": 0.0}):
        assert deficit(our_losses("sphere", SEEDS, **SETTINGS[package] | handicap), theirs) < LEVEL


def test_the_recorded_losses_are_those_of_these_settings():
    recorded = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert (recorded["dim"], recorded["population_size"]) == (DIM, SIZE)
    assert (recorded["generations_after_the_start"], recorded["seeds"]) == (GENERATIONS, len(SEEDS))
    assert {package: row["settings"] for package, row in ORACLES.items()} == SETTINGS
    for row in ORACLES.values():
        assert {name: len(losses) for name, losses in row["final_losses"].items()} == dict.fromkeys(RANGES, len(SEEDS))

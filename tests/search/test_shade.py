"""SHADE and L-SHADE against examples worked out by hand, plain loops, and the L-SHADE of niapy."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, cauchy, chisquare, kstest, mannwhitneyu, norm

from hofsteer.errors import ConfigError
from hofsteer.search.shade import CROSSOVER, LShade, Shade, ShadeState, SuccessHistory, improvement_shares, lehmer_mean
from shade_oracle import BOXES, BUDGET, DIM, FUNCTIONS, HISTORY_SIZE, ORACLE, POPULATION_SIZE, SEEDS, start

BOTH = [Shade, LShade]
inf, nan = np.inf, np.nan


def parents(size=6, dim=8, archived=3, generation=3, **more):
    """A state in the middle of a search; the best is at row 4, and not all losses are finite."""
    rng = np.random.default_rng([13, size, dim])
    losses = rng.uniform(1, 2, size)
    losses[1], losses[4 % size] = inf, 0.5
    parts = {
        "population": rng.normal(size=(size, dim)),
        "losses": losses,
        "archive": 10 + rng.normal(size=(archived, dim)),
        "weight_memory": np.array([0.2, 0.5, 0.9]),
        "rate_memory": np.array([0.9, 0.1, 0.5]),
        "cell": 1,
        "evaluations": generation * size,
        "generation": generation,
    }
    return ShadeState(**parts | more)


def advance(search, state, generations, function=FUNCTIONS["sphere"]):
    for _ in range(generations):
        trials = search.ask(state)
        state = search.tell(state, trials, function(trials))
    return state


# --- what is remembered, by hand --------------------------------------------------------------------------------------


def test_shares_are_improvements_over_their_sum():
    np.testing.assert_array_equal(
        improvement_shares(np.array([4.0, 9.0, 5.0]), np.array([3.0, 6.0, 1.0])), [1 / 8, 3 / 8, 4 / 8]
    )


@pytest.mark.parametrize(
    ("before", "after", "shares"),
    [
        ([inf, 9.0], [5.0, 6.0], [1.0, 0.0]),
        ([inf, inf, 1.0], [5.0, -7.0, 0.0], [0.5, 0.5, 0.0]),
        ([1.7e308, 1.7e308], [-1.7e308, 0.0], [1.0, 0.0]),  # the first difference is no float
        ([1.7e308, 1.7e308], [0.0, 0.0], [0.5, 0.5]),  # their sum is none
        ([5e-324, 1e300], [0.0, 0.0], [0.0, 1.0]),
        ([5e-324], [0.0], [1.0]),
    ],
)
def test_shares_of_losses_of_any_magnitude(before, after, shares):
    np.testing.assert_array_equal(improvement_shares(np.array(before), np.array(after)), shares)


def test_lehmer_mean_by_hand():
    # (1/4 * 0.25 + 3/4 * 1) / (1/4 * 0.5 + 3/4 * 1) = (13/16) / (14/16)
    assert lehmer_mean(np.array([0.5, 1.0]), np.array([0.25, 0.75])) == pytest.approx(13 / 14, rel=1e-15)
    assert lehmer_mean(np.array([0.3, 0.3]), np.array([0.5, 0.5])) == pytest.approx(0.3, rel=1e-15)


OLD = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]])
NEW = -1 - OLD


@pytest.fixture
def drawn(monkeypatch):
    """F and CR of the five trials are set to these."""
    weights, rates = np.array([0.5, 1.0, 0.3, 0.4, 0.6]), np.array([0.2, 0.6, 0.7, 0.8, 0.9])
    monkeypatch.setattr(SuccessHistory, "_parameters", lambda self, state: (weights, rates))
    return weights, rates


def hand_state(**more):
    state = ShadeState(
        OLD, np.array([4.0, 9.0, 1.0, 2.0, inf]), OLD[:0], np.full(3, 0.5), np.full(3, 0.5), None, 2, 25, 5
    )
    return replace(state, **more)


@pytest.mark.parametrize(("search", "rate"), [(Shade(5, 3), 0.5), (LShade(5, 3, budget=10**6), 0.56)])
@pytest.mark.usefixtures("drawn")
def test_a_generation_by_hand(search, rate):
    # Rows 0 and 1 win 1 and 3, row 2 ties, row 3 is worse, row 4 fails again.
    told = search.tell(hand_state(), NEW, np.array([3.0, 6.0, 1.0, 2.5, inf]))
    np.testing.assert_array_equal(told.population, np.stack([NEW[0], NEW[1], NEW[2], OLD[3], NEW[4]]))
    np.testing.assert_array_equal(told.losses, [3.0, 6.0, 1.0, 2.0, inf])
    np.testing.assert_array_equal(told.archive, OLD[:2])  # the beaten, not the tied
    np.testing.assert_allclose(told.weight_memory, [0.5, 0.5, 13 / 14], rtol=1e-15)
    # arithmetic: 1/4 * 0.2 + 3/4 * 0.6; Lehmer: (1/4 * 0.04 + 3/4 * 0.36) / 0.5
    np.testing.assert_allclose(told.rate_memory, [0.5, 0.5, rate], rtol=1e-15)
    assert (told.cell, told.evaluations, told.generation) == (0, 30, 6)  # after the last cell comes the first


@pytest.mark.parametrize("search", [Shade(5, 3), LShade(5, 3, budget=10**6)])
@pytest.mark.parametrize("losses", [[4.0, 9.0, 1.0, 2.0, inf], [5.0, 10.0, 3.0, 2.0, inf], [inf] * 5])
def test_without_a_winner_nothing_is_learned(search, losses):
    told = search.tell(hand_state(), NEW, np.array(losses))
    np.testing.assert_array_equal(told.weight_memory, np.full(3, 0.5))
    np.testing.assert_array_equal(told.rate_memory, np.full(3, 0.5))
    assert told.cell == 2
    assert len(told.archive) == 0


@pytest.mark.parametrize("search", [Shade(5, 3), LShade(5, 3, budget=10**6)])
@pytest.mark.usefixtures("drawn")
def test_the_first_generation_only_gives_losses(search):
    state = search.init(OLD)
    told = search.tell(state, OLD, np.array([4.0, 9.0, 1.0, 2.0, inf]))
    np.testing.assert_array_equal(told.losses, [4.0, 9.0, 1.0, 2.0, inf])
    np.testing.assert_array_equal(told.weight_memory, np.full(3, 0.5))
    assert (len(told.archive), told.cell, told.evaluations, told.generation) == (0, 0, 5, 1)


@pytest.mark.usefixtures("drawn")
def test_replacing_a_failed_parent_outweighs_the_rest():
    told = Shade(5, 3).tell(hand_state(), NEW, np.array([3.0, 6.0, 1.0, 2.5, 100.0]))
    assert told.weight_memory[2] == pytest.approx(0.6, rel=1e-15)
    assert told.rate_memory[2] == pytest.approx(0.9, rel=1e-15)


def test_the_terminal_rate_comes_when_all_winners_had_none_and_stays():
    shares, rates = np.array([0.25, 0.75]), np.array([0.2, 0.6])
    assert np.isnan(LShade()._new_rate(0.5, np.zeros(2), shares))
    assert np.isnan(LShade()._new_rate(nan, rates, shares))
    assert LShade()._new_rate(0.5, rates, shares) == pytest.approx(0.56)
    assert LShade()._new_rate(0.5, np.array([0.0, 0.6]), shares) == pytest.approx(0.6)
    assert np.isnan(LShade()._new_rate(0.5, rates, np.array([0.0, 0.0])))  # shares too small for a float
    assert Shade()._new_rate(0.5, np.zeros(2), shares) == 0.0  # 2013 knows no terminal value


def test_trials_of_a_terminal_cell_change_one_coordinate():
    state = parents(40, rate_memory=np.array([nan, nan, 0.9]), weight_memory=np.array([0.5, 0.5, 0.9]))
    changed = (LShade(40).ask(state) != state.population).sum(axis=1)
    assert 20 < (changed == 1).sum() < 35  # two cells of three
    assert changed.max() == 8


# --- what is drawn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("center", [0.02, 0.5, 1.0])
def test_f_is_a_cauchy_number_drawn_again_until_positive_and_cut_at_1(center):
    state = parents(20_000, 1, weight_memory=np.full(3, center))
    weights, _ = Shade(20_000)._parameters(state)
    law = cauchy(center, 0.1)
    above = law.sf(0)
    assert weights.min() > 0
    assert weights.max() == 1
    assert binomtest((weights == 1).sum(), len(weights), law.sf(1) / above).pvalue > 0.001
    cut = weights[weights < 1]
    assert kstest(cut, lambda x: (law.cdf(x) - law.cdf(0)) / (law.cdf(1) - law.cdf(0))).pvalue > 0.001


@pytest.mark.parametrize("center", [0.0, 0.05, 0.5, 1.0])
def test_cr_is_a_normal_number_cut_at_0_and_1(center):
    state = parents(20_000, 1, rate_memory=np.full(3, center))
    _, rates = LShade(20_000, budget=20_000)._parameters(state)
    law = norm(center, 0.1)
    assert binomtest((rates == 0).sum(), len(rates), law.cdf(0)).pvalue > 0.001
    assert binomtest((rates == 1).sum(), len(rates), law.sf(1)).pvalue > 0.001
    inside = rates[(rates > 0) & (rates < 1)]
    assert kstest(inside, lambda x: (law.cdf(x) - law.cdf(0)) / (law.cdf(1) - law.cdf(0))).pvalue > 0.001


def test_f_and_cr_come_from_the_same_cell_and_all_cells_are_as_likely():
    state = parents(3000, 1, weight_memory=np.array([1e-9, 1.0, 1.0]), rate_memory=np.array([0.0, 1.0, 0.5]))
    weights, rates = Shade(3000)._parameters(state)
    assert chisquare([(rates < 0.25).sum(), (rates > 0.75).sum(), (abs(rates - 0.5) < 0.25).sum()]).pvalue > 0.001
    assert np.median(weights[rates < 0.25]) < 0.2
    assert np.median(weights[rates > 0.25]) > 0.8


@pytest.mark.parametrize(
    ("size", "lshade", "shade"), [(4, 2, (2, 2)), (10, 2, (2, 2)), (20, 2, (2, 4)), (32, 4, (2, 6)), (100, 11, (2, 20))]
)
def test_how_many_of_the_best_are_drawn_from(size, lshade, shade):
    rng = np.random.default_rng(5)
    counts = np.concatenate([Shade(size)._top_counts(size, rng) for _ in range(100)])
    assert (counts.min(), counts.max()) == shade
    np.testing.assert_array_equal(LShade(size)._top_counts(size, rng), np.full(size, lshade))


@pytest.mark.parametrize("archived", [0, 1, 7])
@pytest.mark.parametrize("size", [4, 5, 8, 20])
def test_donors_are_distinct_and_never_the_target(size, archived):
    for generation in range(1, 200):
        state = parents(size, archived=archived, generation=generation)
        pbest, first, second = LShade(size, seed=2)._donors(state)
        assert set(pbest) <= set(state.losses.argsort()[:2])
        everyone = np.column_stack([np.arange(size), first, second])
        assert all(len(set(row)) == 3 for row in everyone.tolist())
        assert (everyone >= 0).all()
        assert first.max() < size
        assert second.max() < size + archived


@pytest.mark.parametrize("target", [0, 2, 4])
def test_every_pair_of_donors_is_equally_likely(target):
    pairs = [(a, b) for a in range(5) for b in range(7) if len({a, b, target}) == 3]
    counts, best = dict.fromkeys(pairs, 0), []
    for generation in range(1, 3001):
        pbest, first, second = LShade(5, seed=3)._donors(parents(5, archived=2, generation=generation))
        counts[first[target], second[target]] += 1
        best.append(pbest[target])
    assert chisquare(list(counts.values())).pvalue > 0.001
    assert chisquare(np.unique(best, return_counts=True)[1]).pvalue > 0.001


def plain_trials(search, state):
    """The trials in loops over targets and coordinates."""
    weights, rates = search._parameters(state)
    pbest, first, second = search._donors(state)
    size, dim = state.population.shape
    rng = np.random.default_rng([search.seed, state.generation, CROSSOVER])
    keys, always = rng.random((size, dim)), rng.integers(dim, size=size)
    rows, trials = [*state.population, *state.archive], state.population.copy()
    for i in range(size):
        for k in range(dim):
            if keys[i, k] < rates[i] or k == always[i]:
                x = rows[i][k]
                x += weights[i] * (rows[pbest[i]][k] - rows[i][k]) + weights[i] * (
                    rows[first[i]][k] - rows[second[i]][k]
                )
                trials[i, k] = x
    return trials


@pytest.mark.parametrize("search", BOTH)
@pytest.mark.parametrize("size", [4, 6, 13])
@pytest.mark.parametrize("archived", [0, 9])
def test_trials_are_those_of_a_plain_loop(search, size, archived):
    state = parents(size, archived=archived)
    trials = search(size, seed=5).ask(state)
    np.testing.assert_allclose(trials, plain_trials(search(size, seed=5), state), rtol=1e-13, atol=1e-15)
    assert (trials != state.population).any(axis=1).all()
    assert archived == 0 or abs(trials).max() > 5  # the archive is far from the parents


@pytest.mark.parametrize("search", BOTH)
def test_what_leaves_the_bounds_is_set_midway_between_bound_and_parent(search):
    free = parents(30)
    lower, upper = free.population.min(axis=0) - 0.1, free.population.max(axis=0) + 0.1
    bounded, wild = search(30).ask(replace(free, bounds=(lower, upper))), search(30).ask(free)
    below, above = wild < lower, wild > upper
    assert below.any()
    assert above.any()
    np.testing.assert_allclose(bounded[below], ((lower + free.population) / 2)[below], rtol=1e-15)
    np.testing.assert_allclose(bounded[above], ((upper + free.population) / 2)[above], rtol=1e-15)
    np.testing.assert_array_equal(bounded[~below & ~above], wild[~below & ~above])


# --- who leaves -------------------------------------------------------------------------------------------------------


def test_the_population_falls_on_a_line_to_4():
    search = LShade(20, budget=200)
    state, sizes = search.init(np.random.default_rng(0).normal(size=(20, 3))), []
    for _ in range(20):
        sizes.append(len(search.ask(state)))
        state = advance(search, state, 1)
    # 20 - 16 * evaluations / 200, at 40: 16.8, at 57: 15.44, at 72: 14.24, at 86: 13.12, 99: 12.08, 111: 11.12, ...
    assert sizes == [20, 20, 17, 15, 14, 13, 12, 11, 10, 9, 9, 8, 7, 7, 6, 6, 5, 5, 4, 4]
    assert state.evaluations == sum(sizes)
    assert len(advance(search, state, 5).population) == 4


def test_shade_keeps_its_population():
    search = Shade(20)
    assert len(advance(search, search.init(np.random.default_rng(0).normal(size=(20, 3))), 20).population) == 20


def test_the_worst_leave_the_later_one_on_a_tie():
    losses = np.array([3.0, inf, 1.0, 7.0, 1.0, 7.0, 2.0, inf])
    state = parents(8, losses=losses, evaluations=93)
    told = LShade(8, budget=200).tell(state, state.population, losses)  # 8 - 4 * 101 / 200 = 5.98
    stay = [0, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(told.population, state.population[stay])
    np.testing.assert_array_equal(told.losses, losses[stay])
    told = LShade(8, budget=101).tell(state, state.population, np.full(8, inf))
    np.testing.assert_array_equal(told.losses, [3.0, 1.0, 1.0, 2.0])


def test_all_winners_are_learned_from_also_those_that_leave():
    state = parents(8, losses=np.full(8, 10.0), evaluations=93)
    search = LShade(8, budget=101)
    losses = np.array([9.0, 8.0, 7.0, 6.0, 1.0, 1.0, 1.0, 1.0])
    told = search.tell(state, state.population, losses)
    weights, _ = search._parameters(state)
    assert told.weight_memory[1] == lehmer_mean(weights, (10 - losses) / (10 - losses).sum())
    np.testing.assert_array_equal(told.losses, np.ones(4))
    assert len(told.archive) == 10  # 2.6 * 4, of the eleven that there were


@pytest.mark.parametrize(("search", "capacity"), [(Shade(10, 3), 10), (LShade(10, 3, budget=10**6), 26)])
def test_a_full_archive_takes_the_beaten_and_drops_older_rows_with_equal_chance(search, capacity):
    """Once the beaten could be dropped as well, which made L-SHADE slower than niapy's on the sphere."""
    dropped = np.zeros(capacity)
    for generation in range(1, 2001):
        state = parents(10, 1, capacity, generation, losses=np.ones(10))
        losses = np.where(np.arange(10) < 4, 0.5, 2.0)
        archive = search.tell(state, state.population, losses).archive
        assert len(archive) == capacity
        assert np.isin(state.population[:4, 0], archive[:, 0]).all()
        dropped += ~np.isin(state.archive[:, 0], archive[:, 0])
    assert dropped.sum() == 4 * 2000
    assert chisquare(dropped).pvalue > 0.001


# --- states and settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", [None, (np.full(8, -50.0), np.full(8, inf))])
@pytest.mark.parametrize("archived", [0, 3])
def test_a_state_survives_the_round_trip(bounds, archived):
    state = parents(bounds=bounds, archived=archived, rate_memory=np.array([nan, 0.1, 0.2]))
    again = ShadeState.from_arrays(state.arrays())
    assert {name: array.tobytes() for name, array in again.arrays().items()} == {
        name: array.tobytes() for name, array in state.arrays().items()
    }
    assert (again.bounds is None) == (bounds is None)
    assert all(array.dtype in (np.float64, np.int64) for array in state.arrays().values())
    np.testing.assert_array_equal(LShade(6).ask(again), LShade(6).ask(state))


@pytest.mark.parametrize("missing", list(parents(bounds=(np.zeros(8), np.ones(8))).arrays()))
def test_a_state_with_a_part_missing_is_refused(missing):
    arrays = parents(bounds=(np.zeros(8), np.ones(8))).arrays()
    del arrays[missing]
    with pytest.raises(ValueError, match="want a SHADE state"):
        ShadeState.from_arrays(arrays)


@pytest.mark.parametrize(
    ("search", "setting", "message"),
    [
        (Shade, {"population_size": 3}, "population_size wants an integer of at least 4, got 3"),
        (LShade, {"population_size": 8.0}, "population_size wants an integer of at least 4, got 8.0"),
        (Shade, {"history_size": 0}, "history_size wants an integer of at least 1, got 0"),
        (LShade, {"seed": -1}, "seed wants an integer of at least 0, got -1"),
        (LShade, {"budget": 31}, "budget wants an integer of at least 32, got 31"),
        (LShade, {"budget": 1e4}, "budget wants an integer of at least 32, got 10000.0"),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(search, setting, message):
    with pytest.raises(ConfigError) as refused:
        search(**setting)
    assert str(refused.value) == message


def test_settings_at_the_edge_are_accepted():
    state = LShade(4, 1, budget=4).init(OLD[:4])
    assert np.isfinite(advance(LShade(4, 1, budget=4), state, 9).best_loss)


# --- does it find minima, and as well as others? ----------------------------------------------------------------------

LEVEL, OUR_SEEDS = 0.01, range(20)


def box(name):
    return tuple(np.full(DIM, side) for side in BOXES[name])


def final_losses(search, name, seeds=OUR_SEEDS, **settings):
    losses = []
    for seed in seeds:
        own = search(POPULATION_SIZE, HISTORY_SIZE, seed, **settings)
        state = own.init(start(name, seed), bounds=box(name))
        while state.evaluations + len(trials := own.ask(state)) <= BUDGET:
            state = own.tell(state, trials, FUNCTIONS[name](trials))
        losses.append(state.best_loss)
    return losses


def deficit(ours, theirs):
    """p of the one-sided Mann-Whitney test: small if our losses are higher than theirs."""
    return mannwhitneyu(ours, theirs, alternative="greater").pvalue


@pytest.fixture(scope="module")
def oracle():
    return json.loads(ORACLE.read_text(encoding="utf-8"))


def test_the_oracle_ran_with_our_settings(oracle):
    settings = {
        "dim": DIM,
        "population_size": POPULATION_SIZE,
        "history_size": HISTORY_SIZE,
        "budget": BUDGET,
        "extern_arc_rate": LShade.archive_ratio,
        "pbest_factor": LShade.best_share,
    }
    assert oracle["settings"] == settings
    assert oracle["boxes"] == {name: list(sides) for name, sides in BOXES.items()}
    assert {name: len(losses) for name, losses in oracle["losses"].items()} == dict.fromkeys(FUNCTIONS, SEEDS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lshade_gets_as_low_as_that_of_niapy(name, oracle):
    ours, theirs = final_losses(LShade, name, budget=BUDGET), oracle["losses"][name]
    assert deficit(ours, theirs) > LEVEL
    assert deficit(theirs, ours) > LEVEL  # it is the same algorithm: an advantage would be a difference too


class Forgetful(LShade):
    def _remember(self, state, told, won):
        return told


@pytest.mark.parametrize(
    ("search", "settings"), [(Shade, {}), (LShade, {"budget": 2 * BUDGET}), (Forgetful, {"budget": BUDGET})]
)
def test_a_deficit_would_be_seen(search, settings, oracle):
    """Without the reduction, with half of it, and with a memory that learns nothing."""
    assert deficit(final_losses(search, "rastrigin", range(5), **settings), oracle["losses"]["rastrigin"]) < LEVEL


@pytest.mark.parametrize("search", [Shade(30), LShade(30, budget=6000)])
def test_converges(search):
    state = search.init(np.random.default_rng(4).uniform(-5, 10, (30, 5)))
    while state.evaluations < 6000:
        state = advance(search, state, 1, FUNCTIONS["rosenbrock"])
    assert state.best_loss < 1e-6
    np.testing.assert_allclose(state.best, 1, atol=3e-3)


# After a change that is meant to change the numbers, put the new ones here and say in the CHANGELOG that searches of
# older versions cannot be repeated.
TRAJECTORIES = [
    (Shade(10, seed=2013), [4.17091609036499, 0.2735825215504273, 0.0087978002973123, 0.0010927780796018474]),
    (
        LShade(10, seed=2014, budget=300),
        [2.2307834743529447, 0.31605332176280193, 0.15255571526379091, 0.010238847029934302],
    ),
]


@pytest.mark.parametrize(("search", "recorded"), TRAJECTORIES)
def test_golden_trajectory(search, recorded):
    """Best loss after every twelfth generation on the sphere in six dimensions."""
    state, best = search.init(np.random.default_rng([77, 0]).uniform(-5, 10, (10, 6))), []
    for _ in recorded:
        state = advance(search, state, 12)
        best.append(state.best_loss)
    np.testing.assert_allclose(best, recorded, rtol=1e-9)

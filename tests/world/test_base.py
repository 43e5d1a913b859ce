from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats

from hofsteer.instruments import Dimension, Instrument, Item, Option, load_instrument
from hofsteer.targets import complete_countries
from hofsteer.world import answer_distribution, make_world

VSM13 = load_instrument("vsm13")
PROFILES = {country.code: country.vector(VSM13.dimension_ids) for country in complete_countries()}
FEW = {code: PROFILES[code] for code in ("SAU", "USA", "CHN", "IND")}
SEED = 2013


@pytest.fixture(scope="module")
def world():
    return make_world(VSM13, PROFILES, SEED)


def toy(dimensions, counts):
    """An instrument with items a, b, c, ... of so many options each, which count 1, 2, ..."""
    items = tuple(
        Item(name, name, (f"{name}?",), tuple(Option(f"{name}{k}", float(k)) for k in range(1, count + 1)))
        for name, count in zip("abcdefgh", counts, strict=False)
    )
    formulas = tuple(Dimension(name, name, tuple(weights.items())) for name, weights in dimensions.items())
    return Instrument("toy", "Toy", "made up", "none needed", "en", 3.0, items, formulas, "0")


def test_true_scores_are_the_profiles(world):
    assert world.codes == tuple(PROFILES)
    np.testing.assert_array_equal(world.profiles, np.stack(list(PROFILES.values())))
    np.testing.assert_allclose(VSM13.score_means(world.item_means) + 50, world.profiles, rtol=0, atol=1e-9)


def test_item_means_lie_within_the_scale(world):
    assert world.item_means.shape == (len(PROFILES), 24)
    assert world.item_means.min() >= 1.1 - 1e-12
    assert world.item_means.max() <= 4.9 + 1e-12


def test_answers_are_distributions_with_the_item_means(world):
    for row, code in enumerate(world.codes[:12]):
        answers = world.answers(code)
        assert answers.shape == (24, 5)
        assert (answers > 0).all()
        np.testing.assert_allclose(answers.sum(axis=1), 1.0, rtol=0, atol=1e-9)
        np.testing.assert_allclose(VSM13.item_means(answers), world.item_means[row], rtol=0, atol=1e-9)
        np.testing.assert_allclose(VSM13.score(answers) + 50, PROFILES[code], rtol=0, atol=1e-6)


def test_residuals_move_items_but_no_index():
    profile = PROFILES["JPN"]
    world = make_world(VSM13, {"one": profile, "other": profile}, SEED)
    difference = world.item_means[0] - world.item_means[1]
    assert 0.1 < difference.std() < 1.0
    np.testing.assert_allclose(VSM13.score_means(difference), 0.0, atol=1e-9)


def test_residuals_give_way_before_an_item_leaves_the_scale():
    worlds = []
    for power_distance in range(50, 400, 5):  # as far as the scale goes
        profile = np.array([power_distance, 50.0, 50, 50, 50, 50])
        try:
            worlds.append(make_world(VSM13, {"X": profile}, SEED))
        except ValueError:
            break
    world = worlds[-1]
    assert 100 < world.profiles[0, 0] < 395
    assert world.item_means.min() >= 1.1 - 1e-12
    assert world.item_means.max() <= 4.9 + 1e-12
    np.testing.assert_allclose(VSM13.score_means(world.item_means) + 50, world.profiles, rtol=0, atol=1e-9)


def test_same_seed_same_world(world):
    again = make_world(VSM13, PROFILES, SEED)
    for name in ("profiles", "item_means", "noise"):
        np.testing.assert_array_equal(getattr(world, name), getattr(again, name))
    other = make_world(VSM13, PROFILES, SEED + 1)
    assert np.abs(world.item_means - other.item_means).mean() > 0.1
    assert not np.array_equal(world.noise, other.noise)


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_other_seeds_hold_the_profiles_too(seed):
    world = make_world(VSM13, FEW, seed)
    np.testing.assert_allclose(VSM13.score_means(world.item_means) + 50, world.profiles, rtol=0, atol=1e-9)


def test_person_noise(world):
    assert world.noise.shape == (24,)
    assert 0.6 <= world.noise.min() < world.noise.max() <= 1.0


def test_profile_outside_what_the_scale_can_express():
    with pytest.raises(ValueError, match="cannot be answered within the scales"):
        make_world(VSM13, {"X": np.array([400.0, 50, 50, 50, 50, 50])}, SEED)


def test_profile_with_a_gap_is_refused():
    gap = np.array([50.0, np.nan, 50, 50, 50, 50])
    with pytest.raises(ValueError, match=r"^want profiles with a score on every dimension, got gaps in CRI$"):
        make_world(VSM13, FEW | {"CRI": gap}, SEED)


def test_items_may_enter_several_dimensions():
    formulas = {
        "X": {"a": 10.0, "b": -12.0, "c": 3.0},
        "Y": {"b": 9.0, "c": -10.0, "d": 4.0},
        "Z": {"e": 5.0, "f": 5.0},
    }
    instrument = toy(formulas, (5, 7, 2, 10, 4, 3))
    profiles = {"one": np.array([45.0, 100.0, 75.0]), "other": np.array([30.0, 85.0, 70.0])}
    world = make_world(instrument, profiles, SEED)
    np.testing.assert_array_equal(world.items.blocks.sum(axis=1), [4, 2])
    np.testing.assert_allclose(instrument.score_means(world.item_means) + 50, world.profiles, rtol=0, atol=1e-9)
    np.testing.assert_allclose(instrument.score_means(world.residuals), 0.0, atol=1e-9)
    assert np.abs(world.residuals).max() > 0.05


def test_item_alone_in_its_dimension_has_no_residual():
    instrument = toy({"X": {"a": 10.0}, "Y": {"b": 10.0, "c": -10.0}}, (5, 5, 5))
    world = make_world(instrument, {"X": np.array([85.0, 50.0])}, SEED)
    assert world.item_means[0, 0] == pytest.approx(3.5)
    assert world.item_means[0, 1] == pytest.approx(world.item_means[0, 2])


def test_an_item_waits_at_the_end_of_its_scale_while_others_do_more():
    instrument = toy({"X": {"a": 10.0, "b": 10.0, "c": 1.0}, "Y": {"a": 1.0, "d": 5.0}}, (2, 5, 10, 5))
    found = []
    for goal in [(x, y) for x in range(60, 140, 4) for y in range(50, 80, 4)]:
        try:
            found.append(make_world(instrument, {"G": np.array(goal, dtype=float)}, SEED))
        except ValueError:
            continue
    at_end = [w for w in found if (np.abs(w.item_means - w.items.highest) < 1e-9).any()]
    assert len(at_end) > 5
    for world in found:
        assert not world.items.off_scale(world.item_means).any()
        np.testing.assert_allclose(instrument.score_means(world.item_means) + 50, world.profiles, rtol=0, atol=1e-9)


def test_the_model_gives_back_every_country_and_what_lies_between(world):
    again = world.items.means(world.profiles, world.residuals)
    np.testing.assert_allclose(again, world.item_means, rtol=0, atol=1e-12)
    half = (world.profiles[:40] + world.profiles[40:80]) / 2, (world.residuals[:40] + world.residuals[40:80]) / 2
    between = (world.item_means[:40] + world.item_means[40:80]) / 2
    np.testing.assert_allclose(world.items.means(*half), between, rtol=0, atol=1e-12)


def test_a_profile_out_of_reach_is_cut_to_the_scales(world):
    means = world.items.means(np.full((1, 6), 900.0), np.zeros((1, 24)))
    assert not world.items.off_scale(means).any()


def test_a_fixed_zero_takes_no_constant():
    instrument = replace(toy({"X": {"a": 50.0, "b": 50.0}}, (2, 2)), constants="fixed")
    world = make_world(instrument, {"G": np.array([140.0])}, SEED)
    np.testing.assert_allclose(instrument.score_means(world.item_means), [[140.0]], rtol=0, atol=1e-9)


def test_the_world_that_mini_learnt_is_still_the_same(world):
    row = world.item_means[world.codes.index("JPN")]  # as it was when the first mini was trained
    np.testing.assert_allclose(
        row[:6],
        [
            2.801309854434676,
            3.5489992140039988,
            2.2531394879657283,
            2.213157539315429,
            3.4402092852272057,
            2.598741476100102,
        ],
        rtol=0,
        atol=1e-12,
    )


def test_options_that_an_item_lacks_have_no_answers():
    instrument = toy({"X": {"a": 30.0, "b": -30.0}, "Y": {"c": 9.0, "d": -9.0}}, (5, 7, 10, 6))
    answers = make_world(instrument, {"X": np.array([60.0, 45.0])}, SEED).answers("X")
    assert answers.shape == (4, 10)
    np.testing.assert_array_equal(answers > 0, instrument.option_mask)
    np.testing.assert_allclose(instrument.score(answers) + 50, [60.0, 45.0], rtol=0, atol=1e-6)


def test_mixture_of_countries(world):
    mixture = world.mixture({"USA": 0.75, "JPN": 0.25})
    np.testing.assert_allclose(mixture, 0.75 * world.answers("USA") + 0.25 * world.answers("JPN"))
    wanted = 0.75 * PROFILES["USA"] + 0.25 * PROFILES["JPN"]
    np.testing.assert_allclose(VSM13.score(mixture) + 50, wanted, rtol=0, atol=1e-6)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(mean=floats(1.01, 4.99), noise=floats(0.05, 3.0))
def test_answer_distribution_has_its_mean_and_width(mean, noise):
    values = np.arange(1.0, 6.0)
    answers = answer_distribution(mean, noise, values)
    assert abs(answers.sum() - 1) < 1e-9
    assert abs(answers @ values - mean) < 1e-9
    if noise >= 0.3:  # else some options are too rare for their logarithm
        np.testing.assert_allclose(np.diff(np.log(answers), n=2), -1 / noise**2, atol=1e-6)


def test_answer_distribution_over_other_values():
    values = np.array([-1.0, 0.0, 0.5, 4.0])
    answers = answer_distribution(1.25, 0.8, values)
    assert abs(answers @ values - 1.25) < 1e-9


@pytest.mark.parametrize("mean", [1.0, 5.0, 0.0, np.nan])
def test_mean_at_or_beyond_the_ends(mean):
    with pytest.raises(ValueError, match=rf"^want a mean strictly inside 1 to 5, got {mean:g}$"):
        answer_distribution(mean, 0.8, np.arange(1.0, 6.0))

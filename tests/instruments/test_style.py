"""Answer style: respondents with a style that is known, and the content-free items that are to show it."""

import numpy as np
import pytest

from hofsteer.errors import InstrumentError
from hofsteer.instruments import Dimension, Instrument, Item, Option, load_instrument
from hofsteer.instruments.style import StyleIndices, style_by_scale, style_indices

STYLE12 = load_instrument("style12")
VSM13 = load_instrument("vsm13")
IVS10 = load_instrument("ivs10")
COUNTS = [len(item.options) for item in STYLE12.items]
EVEN = [count for count in COUNTS if count % 2 == 0]
INDICES = ("directional", "extreme", "midpoint", "position")


def shares(choose, instrument=STYLE12):
    """Put each item's mass evenly on the canonical options that `choose(number of options)` names."""
    answers = np.zeros(instrument.option_values.shape)
    for row, item in enumerate(instrument.items):
        chosen = choose(len(item.options))
        answers[row, chosen] = 1 / len(chosen)
    return answers


def everything(count):
    return list(range(count))


def first(count):
    return [0]


def last(count):
    return [count - 1]


def both_ends(count):
    return [0, count - 1]


def middle(count):
    return [(count - 1) // 2] if count % 2 else [count // 2 - 1, count // 2]


def random_shares(seed, instrument=STYLE12):
    drawn = np.random.default_rng([seed, 1]).random(instrument.option_values.shape) * instrument.option_mask
    return drawn / drawn.sum(axis=1, keepdims=True)


def assert_indices(found, **wanted):
    for name in INDICES:
        assert getattr(found, name) == pytest.approx(wanted[name], abs=1e-12), name


NO_ENDS = np.mean([-2 / (count - 2) for count in COUNTS])
NO_MIDDLE = np.mean([-1 / (count - 1) for count in COUNTS if count % 2])


@pytest.mark.parametrize("instrument", [STYLE12, VSM13])
def test_even_answers_have_no_style(instrument):
    even = shares(everything, instrument)
    assert_indices(style_indices(even, even, instrument), directional=0, extreme=0, midpoint=0, position=0)


@pytest.mark.parametrize(("listed", "reversed_", "sign"), [(first, last, -1), (last, first, 1)])
def test_always_the_same_place_is_position_and_no_direction(listed, reversed_, sign):
    found = style_indices(shares(listed), shares(reversed_), STYLE12)
    assert_indices(found, directional=0, extreme=1, midpoint=NO_MIDDLE, position=sign)


@pytest.mark.parametrize(("option", "sign"), [(first, -1), (last, 1)])
def test_always_the_same_value_is_direction_and_no_position(option, sign):
    found = style_indices(shares(option), shares(option), STYLE12)
    assert_indices(found, directional=sign, extreme=1, midpoint=NO_MIDDLE, position=0)


def test_middle_answers():
    found = style_indices(shares(middle), shares(middle), STYLE12)
    assert_indices(found, directional=0, extreme=NO_ENDS, midpoint=1, position=0)


def test_both_ends_are_extreme_and_nothing_else():
    found = style_indices(shares(both_ends), shares(both_ends), STYLE12)
    assert_indices(found, directional=0, extreme=1, midpoint=NO_MIDDLE, position=0)


def test_value_and_place_are_told_apart_when_both_are_there():
    """A quarter of the answers on the lowest value, half on the option shown first, the rest even."""
    rest = shares(everything) / 4
    listed = shares(first) / 4 + shares(first) / 2 + rest
    reversed_ = shares(first) / 4 + shares(last) / 2 + rest
    assert_indices(
        style_indices(listed, reversed_, STYLE12),
        directional=-1 / 4,
        extreme=3 / 4,
        midpoint=3 / 4 * NO_MIDDLE,
        position=-1 / 2,
    )


def test_swapping_the_orders_turns_position_alone():
    listed, reversed_ = random_shares(1), random_shares(2)
    there, back = style_indices(listed, reversed_, STYLE12), style_indices(reversed_, listed, STYLE12)
    assert_indices(
        back,
        directional=there.directional,
        extreme=there.extreme,
        midpoint=there.midpoint,
        position=-there.position,
    )


def test_direction_is_that_of_values_and_not_of_the_list():
    """An item whose values fall, and one that starts at 10: low values are still low."""
    falling = Item("a", "falling", ("?",), tuple(Option(str(v), float(v)) for v in (3, 2, 1)))
    shifted = Item("b", "shifted", ("?",), tuple(Option(str(v), float(v)) for v in (10, 20, 30)))
    instrument = Instrument(
        id="turned",
        title="Turned",
        source="made up",
        licence="none needed",
        language="en",
        neutral=None,
        items=(falling, shifted),
        dimensions=(Dimension("X", "x", (("a", 1.0),)),),
        hash="0",
    )
    lowest = np.array([[0.0, 0, 1], [1, 0, 0]])
    assert_indices(style_indices(lowest, lowest, instrument), directional=-1, extreme=1, midpoint=-1 / 2, position=0)


def test_ten_options_one_step_above_the_middle():
    """By hand: option 7 of 10 is 1.5 steps above 5.5, a third of the half scale of 4.5."""
    answers = shares(everything)
    row = STYLE12.item_ids.index("S11")
    answers[row] = 0
    answers[row, 6] = 1
    found = style_by_scale(answers, answers, STYLE12)["amount"]
    assert found.directional == pytest.approx((1 / 3 + 0) / 2)
    assert found.extreme == pytest.approx((-2 / 8 + 0) / 2)
    assert np.isnan(found.midpoint)


def test_pairs_have_neither_extreme_nor_midpoint():
    pairs = {item.scale for item in IVS10.items if len(item.options) == 2}
    by_scale = style_by_scale(random_shares(1, IVS10), random_shares(2, IVS10), IVS10)
    assert pairs
    for scale in pairs:
        assert np.isnan(by_scale[scale].extreme)
        assert np.isnan(by_scale[scale].midpoint)
        assert np.isfinite([by_scale[scale].directional, by_scale[scale].position]).all()


def test_items_with_options_of_their_own_stand_under_their_id():
    by_scale = style_by_scale(random_shares(1, IVS10), random_shares(2, IVS10), IVS10)
    assert set(by_scale) == {item.scale or item.id for item in IVS10.items}
    assert "Y002" in by_scale


def test_by_scale_is_the_whole_when_weighted_by_items():
    listed, reversed_ = random_shares(3), random_shares(4)
    by_scale = style_by_scale(listed, reversed_, STYLE12)
    whole = style_indices(listed, reversed_, STYLE12)
    assert len(by_scale) == 6
    for name in ("directional", "extreme", "position"):  # two items each
        assert np.mean([getattr(index, name) for index in by_scale.values()]) == pytest.approx(getattr(whole, name))


def test_a_leaning_to_strong_answers_is_none_to_values():
    """Who takes the strongest answer everywhere has direction -1 on scales that fall and +1 on those that rise."""
    rising = {"frequency-rising", "amount"}
    answers = np.stack([shares(last if item.scale in rising else first)[i] for i, item in enumerate(STYLE12.items)])
    for scale, found in style_by_scale(answers, answers, STYLE12).items():
        assert found.directional == (1 if scale in rising else -1)


def test_padding_is_not_read_and_missing_is_not_hidden():
    answers = shares(everything)
    padded = np.where(STYLE12.option_mask, answers, np.nan)
    assert style_indices(padded, padded, STYLE12) == style_indices(answers, answers, STYLE12)
    padded[STYLE12.item_ids.index("S11")] = np.nan  # ten options: no middle one
    found = style_indices(padded, answers, STYLE12)
    assert np.isnan([found.directional, found.extreme, found.position]).all()
    assert found.midpoint == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("wrong", ["listed", "reversed"])
def test_wrong_shape(wrong):
    good, bad = shares(everything), np.zeros((12, 5))
    listed, reversed_ = (bad, good) if wrong == "listed" else (good, bad)
    with pytest.raises(InstrumentError, match=rf"^want shares \(12, 10\) of the options as {wrong}, got \(12, 5\)$"):
        style_indices(listed, reversed_, STYLE12)


def test_indices_are_plain_numbers():
    found = style_indices(random_shares(1), random_shares(2), STYLE12)
    assert isinstance(found, StyleIndices)
    assert all(type(getattr(found, name)) is float for name in INDICES)


def test_style_dimension_is_the_directional_index():
    for seed in range(5):
        listed, reversed_ = random_shares(seed), random_shares(seed + 100)
        score = (STYLE12.score(listed) + STYLE12.score(reversed_)) / 2
        directional = style_indices(listed, reversed_, STYLE12).directional
        np.testing.assert_allclose(score, [50 + 50 * directional], atol=1e-9)
    np.testing.assert_allclose(STYLE12.score(shares(first)), [0], atol=1e-9)
    np.testing.assert_allclose(STYLE12.score(shares(last)), [100], atol=1e-9)


def test_style12_asks_on_the_scales_of_the_other_instruments():
    """Texts and order are those of the instruments, so what is measured on a scale holds for that scale."""
    homes = {
        "importance": VSM13,
        "agreement": VSM13,
        "frequency": VSM13,
        "frequency-rising": VSM13,
        "happiness": IVS10,
        "amount": IVS10,
    }
    scales = [item.scale for item in STYLE12.items]
    assert {scale: scales.count(scale) for scale in scales} == dict.fromkeys(homes, 2)
    for item in STYLE12.items:
        home = homes[item.scale]
        assert item.options == next(other.options for other in home.items if other.scale == item.scale)
    assert sorted(set(COUNTS)) == [4, 5, 10]


def test_style12_has_twelve_items_in_two_wordings():
    assert STYLE12.item_ids == tuple(f"S{n}" for n in range(1, 13))
    texts = [wording.casefold() for item in STYLE12.items for wording in item.wordings]
    assert len(texts) == len(set(texts)) == 24
    assert all(8 <= len(text.split()) <= 30 for text in texts)

"""Scoring against the formulas of the VSM 2013 manual, written out here once more and not read from the TOML file."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats

from hofsteer.errors import InstrumentError
from hofsteer.instruments import Dimension, Instrument, Item, Option, load_instrument

VSM13 = load_instrument("vsm13")
VSM13_CAT = load_instrument("vsm13-cat")
RANGES = {"PDI": 240, "IDV": 280, "MAS": 280, "UAI": 260, "LTO": 260, "IVR": 300}
ENTERS = {  # dimension -> the numbers of its items
    "PDI": (2, 7, 20, 23),
    "IDV": (1, 4, 6, 9),
    "MAS": (3, 5, 8, 10),
    "UAI": (15, 18, 21, 24),
    "LTO": (13, 14, 19, 22),
    "IVR": (11, 12, 16, 17),
}

quick = settings(max_examples=50, deadline=None, derandomize=True)
means = arrays(np.float64, 24, elements=floats(1, 5))
shares = arrays(np.float64, (3, 24, 5), elements=floats(0.001, 1))


def manual(item_means, second_of_mas=35):
    """Index formulas of the VSM 2013 manual without constants; the CAT paper prints 25 in the second term of MAS."""
    m = dict(enumerate(item_means, start=1))
    return [
        35 * (m[7] - m[2]) + 25 * (m[20] - m[23]),
        35 * (m[4] - m[1]) + 35 * (m[9] - m[6]),
        35 * (m[5] - m[3]) + second_of_mas * (m[8] - m[10]),
        40 * (m[18] - m[15]) + 25 * (m[21] - m[24]),
        40 * (m[13] - m[14]) + 25 * (m[19] - m[22]),
        35 * (m[12] - m[11]) + 40 * (m[17] - m[16]),
    ]


def mixed_instrument():
    """Items with two, five and ten options, which count 0/1, -2 to 2 and 1 to 10."""

    def item(name, values):
        return Item(name, f"construct {name}", (f"Stem {name}?",), tuple(Option(f"{v}", float(v)) for v in values))

    return Instrument(
        id="mixed",
        title="Mixed",
        source="made up",
        licence="none needed",
        language="en",
        neutral=0.5,
        items=(item("pair", (0, 1)), item("five", range(-2, 3)), item("ten", range(1, 11))),
        dimensions=(
            Dimension("X", "both ways", (("pair", 100.0), ("five", -10.0))),
            Dimension("Y", "alone", (("ten", 7.0),)),
        ),
        hash="0",
    )


@quick
@given(means)
def test_scores_are_those_of_the_manual(item_means):
    np.testing.assert_allclose(VSM13.score_means(item_means), manual(item_means), atol=1e-9)


@quick
@given(means)
def test_cat_variant_differs_in_mas_alone(item_means):
    np.testing.assert_allclose(VSM13_CAT.score_means(item_means), manual(item_means, second_of_mas=25), atol=1e-9)


def test_cat_variant_asks_the_same():
    assert VSM13_CAT.items == VSM13.items
    assert VSM13_CAT.dimension_ids == VSM13.dimension_ids
    changed = [d.id for d, before in zip(VSM13_CAT.dimensions, VSM13.dimensions, strict=True) if d != before]
    assert changed == ["MAS"]
    assert (VSM13.id, VSM13_CAT.id) == ("vsm13-own", "vsm13-cat")
    assert VSM13.hash != VSM13_CAT.hash


def test_ids_and_their_order():
    assert VSM13.item_ids == tuple(f"Q{i}" for i in range(1, 25))
    assert VSM13.dimension_ids == ("PDI", "IDV", "MAS", "UAI", "LTO", "IVR")
    assert VSM13.neutral == 3.0


@pytest.mark.parametrize("instrument", [VSM13, VSM13_CAT], ids=lambda i: i.id)
def test_ranges_before_the_constant(instrument):
    highest = [instrument.score_means(np.where(row > 0, 5.0, 1.0))[m] for m, row in enumerate(instrument.weights)]
    lowest = [instrument.score_means(np.where(row > 0, 1.0, 5.0))[m] for m, row in enumerate(instrument.weights)]
    wanted = RANGES | ({"MAS": 240} if instrument is VSM13_CAT else {})
    assert dict(zip(instrument.dimension_ids, highest, strict=True)) == wanted
    assert lowest == [-h for h in highest]


def test_neutral_answers_score_zero():
    np.testing.assert_array_equal(VSM13.score_means(np.full(24, VSM13.neutral)), np.zeros(6))


def test_whole_answers_of_one_respondent_score_in_fives():
    answers = np.random.default_rng(1).integers(1, 6, size=(200, 24)).astype(np.float64)
    np.testing.assert_array_equal(VSM13.score_means(answers) % 5, 0)


@pytest.mark.parametrize(
    ("numbers", "first", "last"),
    [
        (range(1, 15), "essential", "hardly important, if at all"),
        (range(15, 18), "all the time", "never"),
        ([18], "very good", "very bad"),
        ([19], "extremely proud", "not proud at all"),
        ([20], "never", "all the time"),  # the only item that runs from never upwards
        (range(21, 25), "fully agree", "fully disagree"),
    ],
)
def test_scale_directions(numbers, first, last):
    for number in numbers:
        options = VSM13.item(f"Q{number}").options
        assert [option.value for option in options] == [1, 2, 3, 4, 5]
        assert (options[0].text, options[-1].text) == (first, last)


def test_no_two_texts_of_items_are_equal():
    texts = [wording.casefold() for item in VSM13.items for wording in item.wordings]
    assert len(texts) == 192
    assert len(set(texts)) == len(texts)
    assert len({item.construct for item in VSM13.items}) == 24


def test_options_of_an_item_differ():
    for item in VSM13.items:
        assert len({option.text for option in item.options}) == len(item.options)


@quick
@given(shares)
def test_score_of_distributions_is_score_of_their_means(raw):
    probabilities = raw / raw.sum(axis=-1, keepdims=True)
    item_means = probabilities @ np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    scores = VSM13.score(probabilities)
    assert scores.shape == (3, 6)
    np.testing.assert_allclose(scores, [manual(row) for row in item_means], atol=1e-9)


@pytest.mark.parametrize("number", range(1, 25))
def test_missing_item_makes_its_own_dimension_missing(number):
    item_means = np.linspace(1.5, 4.5, 24)
    complete = VSM13.score_means(item_means)
    item_means[number - 1] = np.nan
    scores = VSM13.score_means(item_means)
    hit = np.array([number in ENTERS[dimension] for dimension in VSM13.dimension_ids])
    assert hit.sum() == 1
    np.testing.assert_array_equal(np.isnan(scores), hit)
    np.testing.assert_array_equal(scores[~hit], complete[~hit])


def test_missing_distribution_is_a_missing_item():
    probabilities = np.full((24, 5), 0.2)
    probabilities[19] = np.nan
    np.testing.assert_array_equal(np.isnan(VSM13.score(probabilities)), [True] + [False] * 5)


def test_items_with_different_numbers_of_options():
    instrument = mixed_instrument()
    assert instrument.option_values.shape == (3, 10)
    np.testing.assert_array_equal(instrument.option_mask.sum(axis=1), [2, 5, 10])
    np.testing.assert_array_equal(instrument.option_values[0], [0, 1] + [np.nan] * 8)
    probabilities = np.zeros((3, 10))
    probabilities[0, :2] = 0.25, 0.75
    probabilities[1, 4] = 1.0
    probabilities[2] = 0.1
    np.testing.assert_allclose(instrument.item_means(probabilities), [0.75, 2.0, 5.5])
    np.testing.assert_allclose(instrument.score(probabilities), [75.0 - 20.0, 38.5])


@pytest.mark.parametrize("padding", [0.0, 0.3, np.nan])
def test_padded_options_are_not_read(padding):
    instrument = mixed_instrument()
    probabilities = np.where(instrument.option_mask, 1 / instrument.option_mask.sum(axis=1, keepdims=True), padding)
    np.testing.assert_allclose(instrument.item_means(probabilities), [0.5, 0.0, 5.5], atol=1e-12)


def test_leading_axes_are_kept():
    rng = np.random.default_rng(2)
    assert VSM13.score(rng.dirichlet(np.ones(5), size=(2, 3, 24))).shape == (2, 3, 6)
    assert VSM13.score_means(rng.uniform(1, 5, size=(4, 24))).shape == (4, 6)
    assert VSM13.score_means(np.empty((0, 24))).shape == (0, 6)


def test_wrong_shapes_say_both():
    with pytest.raises(InstrumentError, match=r"^want 24 item means, got 23$"):
        VSM13.score_means(np.zeros(23))
    with pytest.raises(InstrumentError, match=r"^want probabilities \(\.\.\., 24, 5\), got \(24, 4\)$"):
        VSM13.score(np.zeros((24, 4)))


@pytest.mark.parametrize("name", ["weights", "option_values"])
def test_cached_arrays_are_read_only(name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(VSM13, name)[0, 0] = 1.0


def test_item_by_id():
    assert VSM13.item("Q20").construct == "fear to contradict the boss"
    with pytest.raises(KeyError):
        VSM13.item("Q31")


def test_noise_floor_follows_the_deviation_of_each_item():
    instrument = mixed_instrument()
    deviations = np.array([0.5, 1.0, 3.0])
    spread = [np.hypot(100 * 0.5, 10 * 1.0), 7 * 3.0]
    wanted = 2 / np.sqrt(np.pi) * np.mean(spread) / np.sqrt(50)
    assert instrument.noise_floor(50, deviations) == pytest.approx(wanted)
    items = tuple(replace(i, deviation=float(d)) for i, d in zip(instrument.items, deviations, strict=True))
    assert replace(instrument, items=items).noise_floor(50) == pytest.approx(wanted)
    second = replace(instrument, items=items).noise_floor(50, compared=np.array([False, True]))
    assert second == pytest.approx(2 / np.sqrt(np.pi) * spread[1] / np.sqrt(50))


def test_intercept_is_part_of_the_score():
    instrument = mixed_instrument()
    shifted = replace(instrument, dimensions=tuple(replace(d, intercept=5.0) for d in instrument.dimensions))
    means = np.array([[0.5, 1.0, 4.0], [0.0, np.nan, 1.0]])
    np.testing.assert_array_equal(shifted.score_means(means), instrument.score_means(means) + 5.0)


@pytest.mark.parametrize(("n", "points"), [(20, 17), (50, 11), (200, 5)])
def test_noise_floor(n, points):
    assert round(VSM13.noise_floor(n)) == points
    assert VSM13.noise_floor(n, item_deviation=0.5) == pytest.approx(VSM13.noise_floor(n) / 2)
    samples = np.random.default_rng(3).normal(3.0, 1.0 / np.sqrt(n), size=(2, 5_000, 24))  # item means of two samples
    first, second = VSM13.score_means(samples)
    assert VSM13.noise_floor(n) == pytest.approx(np.abs(first - second).mean(), rel=0.03)

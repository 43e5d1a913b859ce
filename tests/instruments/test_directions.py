import numpy as np
import pytest

from hofsteer.instruments import Administration, both_orders, corrected_means, direction_scores, load_instrument

VSM13, IVS10 = load_instrument("vsm13"), load_instrument("ivs10")


def shares(instrument, seed):
    drawn = np.random.default_rng(seed).uniform(0.1, 1, size=(2, *instrument.option_values.shape))
    drawn = np.where(instrument.option_mask, drawn, 0.0)
    return drawn / drawn.sum(axis=-1, keepdims=True)


def test_both_orders_differ_in_the_order_alone():
    form = Administration(IVS10, wording=2, order="reversed", labels="letters", system="You live in Japan.")
    listed, reversed_ = both_orders(form)
    assert (listed.order, reversed_) == ("listed", form)
    assert both_orders(listed) == (listed, reversed_)


@pytest.mark.parametrize("instrument", [VSM13, IVS10], ids=lambda i: i.id)
def test_mean_over_directions(instrument):
    listed, reversed_ = shares(instrument, 1)
    scores = direction_scores(instrument, listed, reversed_)
    np.testing.assert_array_equal(scores.listed, instrument.score(listed))
    np.testing.assert_array_equal(scores.reversed, instrument.score(reversed_))
    np.testing.assert_allclose(scores.mean, instrument.score((listed + reversed_) / 2), atol=1e-12)
    np.testing.assert_array_equal(scores.corrected, scores.mean)  # no leaning, no correction


@pytest.mark.parametrize("instrument", [VSM13, IVS10], ids=lambda i: i.id)
def test_a_leaning_to_the_first_place_cancels(instrument):
    mask = instrument.option_mask
    neutral = np.where(mask, 1 / mask.sum(axis=1, keepdims=True), 0.0)
    first, last = np.zeros_like(neutral), np.zeros_like(neutral)
    first[:, 0] = 1.0
    last[np.arange(len(mask)), mask.sum(axis=1) - 1] = 1.0
    leaning = direction_scores(instrument, 0.7 * neutral + 0.3 * first, 0.7 * neutral + 0.3 * last)
    np.testing.assert_allclose(leaning.mean, instrument.score(neutral), atol=1e-12)
    if instrument is IVS10:
        assert (np.abs(leaning.listed - leaning.mean) > 0.1).any()


def test_a_leaning_to_one_end_is_taken_out():
    values = IVS10.option_values
    half = (np.nanmax(values, axis=1) - np.nanmin(values, axis=1)) / 2
    truth = IVS10.neutral_means
    leaning = np.array([[-0.2], [0.0], [0.3]])
    np.testing.assert_allclose(
        corrected_means(IVS10, truth + leaning * half, leaning[:, 0]), np.tile(truth, (3, 1)), atol=1e-12
    )


def test_correction_of_scores_on_five_point_scales_is_in_steps():
    listed, reversed_ = shares(VSM13, 2)
    scores = direction_scores(VSM13, listed, reversed_, directional=0.15)
    means = VSM13.item_means((listed + reversed_) / 2) - 0.3  # 0.15 halves of a scale are 0.3 of its steps
    np.testing.assert_allclose(scores.corrected, VSM13.score_means(means), atol=1e-9)
    np.testing.assert_allclose(scores.corrected, scores.mean, atol=1e-9)  # every index is made of differences

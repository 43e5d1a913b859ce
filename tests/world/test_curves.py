import numpy as np
import pytest

from hofsteer.instruments import load_instrument
from hofsteer.world import answer_distribution, make_items
from hofsteer.world.curves import narrowest

INSTRUMENTS = ["vsm13-own", "ivs10", "vignettes", "style12"]


@pytest.fixture(scope="module", params=INSTRUMENTS)
def items(request):
    return make_items(load_instrument(request.param), 7)


@pytest.fixture(scope="module")
def means(items):
    shares = np.random.default_rng([1, 1]).uniform(size=(30, 2, len(items.unit)))
    shares[0], shares[1] = 0, 1  # both ends
    return items.lowest + shares * (items.highest - items.lowest)


def test_curves_have_exactly_the_means(items, means):
    found = np.exp(items.curves.log_probabilities(means))
    np.testing.assert_allclose(found.sum(axis=-1), 1.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(items.instrument.item_means(found), means, rtol=0, atol=1e-9)


def test_curves_are_those_of_the_reference(items, means):
    found = np.exp(items.curves.log_probabilities(means))
    values, mask = items.instrument.option_values, items.instrument.option_mask
    for i in range(len(items.unit)):
        wanted = answer_distribution(means[2, 0, i], items.noise[i], values[i, mask[i]])
        np.testing.assert_allclose(found[2, 0, i, mask[i]], wanted, rtol=0, atol=1e-9)
    assert (found[..., ~mask] == 0).all()


def test_a_mean_off_the_scale_is_cut_to_it(items):
    at_end, beyond = (items.curves.log_probabilities(m[None]) for m in (items.highest, items.highest + 3))
    np.testing.assert_array_equal(at_end, beyond)


def test_a_row_does_not_depend_on_the_rows_beside_it(items, means):
    together = items.curves.log_probabilities(means)
    np.testing.assert_array_equal(items.curves.log_probabilities(means[4:5]), together[4:5])


def test_nan_stays_with_its_item(items, means):
    broken = means[:3].copy()
    broken[1, 0, 2] = np.nan
    found = items.curves.log_probabilities(broken)
    assert np.isnan(found[1, 0, 2, items.instrument.option_mask[2]]).all()
    assert np.isnan(found).any(axis=-1).sum() == 1


def test_the_narrowest_answers_have_the_mean_and_less_variance(items, means):
    narrow, normal = narrowest(means, items.instrument.option_values), np.exp(items.curves.log_probabilities(means))
    np.testing.assert_allclose(narrow.sum(axis=-1), 1.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(items.instrument.item_means(narrow), means, rtol=0, atol=1e-12)
    squares = np.nan_to_num(items.instrument.option_values) ** 2
    assert ((narrow * squares).sum(axis=-1) <= (normal * squares).sum(axis=-1) + 1e-9).all()

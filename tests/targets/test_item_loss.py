import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats, sampled_from
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from hofsteer.targets import ITEM_LOSSES, ItemGoal, item_loss, item_noise_floor, item_slopes

VALUES = np.array([[1.0, 2, 3, 4, 5], [3, 1, 2, np.nan, np.nan], [0, 10, 4, 5, np.nan]])  # any order, any steps
COUNTS = (~np.isnan(VALUES)).sum(axis=1)

shares = arrays(float, (3, 5), elements=floats(0, 1).map(lambda x: x if x > 1e-6 else 0.0))


def whole(raw):
    """Distributions over the options that each item has; the first option where nothing was drawn."""
    raw = np.where(np.isnan(VALUES), 0.0, raw)
    raw[:, 0] += raw.sum(axis=1) == 0
    return raw / raw.sum(axis=1, keepdims=True)


def goal_of(distributions, n=80.0):
    return ItemGoal(np.where(np.isnan(VALUES), np.nan, distributions), np.full(3, n), VALUES)


def oracle(kind, p, q, values):
    k = len(values)
    if kind == "jensen-shannon":
        return 100 * jensenshannon(p[:k], q[:k], base=2) ** 2
    return 100 * wasserstein_distance(values, values, p[:k], q[:k]) / np.ptp(values)


@pytest.mark.parametrize("kind", ITEM_LOSSES)
@given(a=shares, b=shares)
@settings(deadline=None, max_examples=60)
def test_against_scipy(kind, a, b):
    p, q = whole(a), whole(b)
    wanted = [oracle(kind, p[i], q[i], VALUES[i, : COUNTS[i]]) for i in range(3)]
    assert item_loss(kind, p, goal_of(q)) == pytest.approx(np.mean(wanted), abs=1e-9)


@given(a=shares, b=shares, kind=sampled_from(ITEM_LOSSES))
@settings(deadline=None, max_examples=60)
def test_symmetric_within_bounds_and_zero_only_where_equal(a, b, kind):
    p, q = whole(a), whole(b)
    loss = item_loss(kind, p, goal_of(q))
    assert loss == pytest.approx(item_loss(kind, q, goal_of(p)), abs=1e-12)
    assert item_loss(kind, p, goal_of(p)) == 0
    assert 0 <= loss <= 100 + 1e-9
    if np.abs(p - q).max() > 1e-3:
        assert loss > 1e-7


@given(a=shares, b=shares)
@settings(deadline=None, max_examples=60)
def test_wasserstein_is_at_least_the_distance_of_the_means(a, b):
    p, q = whole(a), whole(b)
    values = np.nan_to_num(VALUES)
    apart = np.abs(((p - q) * values).sum(axis=1)) / (np.nanmax(VALUES, axis=1) - np.nanmin(VALUES, axis=1))
    assert item_loss("wasserstein", p, goal_of(q)) >= 100 * apart.mean() - 1e-9


@pytest.mark.parametrize(
    ("p", "q", "wasserstein", "jensen_shannon"),
    [
        ([1, 0, 0, 0, 0], [0, 0, 0, 0, 1], 100, 100),  # the ends
        ([1, 0, 0, 0, 0], [0, 1, 0, 0, 0], 25, 100),  # one step of four
        ([0.5, 0, 0, 0, 0.5], [0, 0, 1, 0, 0], 50, 100),  # both halves by two steps: the means are the same
        ([0.5, 0.5, 0, 0, 0], [1, 0, 0, 0, 0], 12.5, 100 * (0.25 * np.log2(2 / 3) + 0.25 + 0.5 * np.log2(4 / 3))),
        ([0.2] * 5, [0.2] * 5, 0, 0),
    ],
)
def test_by_hand(p, q, wasserstein, jensen_shannon):
    one = ItemGoal(np.array([q], dtype=float), np.array([80.0]), VALUES[:1])
    assert item_loss("wasserstein", np.array([p], dtype=float), one) == pytest.approx(wasserstein)
    assert item_loss("jensen-shannon", np.array([p], dtype=float), one) == pytest.approx(jensen_shannon)


@pytest.mark.parametrize("kind", ITEM_LOSSES)
def test_the_order_of_options_does_not_count(kind):
    rng = np.random.default_rng([8, 2])
    p, q = rng.dirichlet(np.ones(5), 2)
    turn = [3, 0, 4, 1, 2]
    listed = ItemGoal(q[None], np.array([80.0]), VALUES[:1])
    turned = ItemGoal(q[None, turn], np.array([80.0]), VALUES[:1, turn])
    assert item_loss(kind, p[None, turn], turned) == pytest.approx(item_loss(kind, p[None], listed))


@pytest.mark.parametrize("kind", ITEM_LOSSES)
def test_items_without_shares_are_left_out_and_missing_answers_are_not(kind):
    rng = np.random.default_rng([8, 3])
    p, q = whole(rng.random((3, 5))), whole(rng.random((3, 5)))
    goal = goal_of(q)
    goal.shares[1] = np.nan
    kept = ItemGoal(goal.shares[[0, 2]], np.full(2, 80.0), VALUES[[0, 2]])
    assert item_loss(kind, p, goal) == pytest.approx(item_loss(kind, p[[0, 2]], kept))
    many = np.stack([p, p])[:, None]
    many[1, 0, 1] = np.nan  # an item that does not count
    assert item_loss(kind, many, goal).ravel() == pytest.approx([float(item_loss(kind, p, goal))] * 2)
    many[1, 0, 0] = np.nan
    assert np.isnan(item_loss(kind, many, goal)).ravel().tolist() == [False, True]


@pytest.mark.parametrize("kind", ITEM_LOSSES)
def test_slopes_against_differences(kind):
    rng = np.random.default_rng([8, 4])
    p, goal = whole(rng.random((3, 5))), goal_of(whole(rng.random((3, 5))))
    goal.shares[2] = np.nan
    found = item_slopes(kind, p, goal)
    assert (found[np.isnan(goal.shares)] == 0).all()
    h = 1e-6
    for i in (0, 1):
        for k in range(1, COUNTS[i]):  # share moves from the first option to another
            step = np.zeros((3, 5))
            step[i, 0], step[i, k] = -h, h
            slope = (item_loss(kind, p + step, goal) - item_loss(kind, p - step, goal)) / (2 * h)
            assert found[i, k] - found[i, 0] == pytest.approx(slope, abs=1e-4)


def test_slopes_are_finite_at_options_that_nobody_chose():
    q = whole(np.array([[1.0, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0]]))
    for kind in ITEM_LOSSES:
        assert np.isfinite(item_slopes(kind, whole(np.eye(3, 5)), goal_of(q))).all()
        assert (item_slopes(kind, q, goal_of(q)) == 0).all()


@pytest.mark.parametrize("kind", ITEM_LOSSES)
def test_noise_floor_against_drawn_samples(kind):
    rng = np.random.default_rng([8, 5])
    q = whole(rng.random((3, 5)) + 0.2)
    n, losses = 200, []
    for _ in range(800):
        one, two = (np.stack([rng.multinomial(n, row) / n for row in q]) for _ in range(2))
        losses.append(item_loss(kind, one, goal_of(two)))
    assert item_noise_floor(kind, goal_of(q, n)) == pytest.approx(np.mean(losses), rel=0.04)

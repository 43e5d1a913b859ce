import numpy as np
import pytest

from hofsteer.alignment.curve import Curve
from hofsteer.alignment.run import Record
from hofsteer.alignment.stop import in_words, stopped_by
from hofsteer.config import StopSettings


def history(*objectives, size=10, losses=None):
    """Generations of `size` evaluations; an objective of None: everything has failed so far."""
    return [
        Record(i + 1, size * (i + 1), loss, loss, None, None, 0, (), objective=objective, passes=4 * size * (i + 1))
        for i, (objective, loss) in enumerate(zip(objectives, losses or objectives, strict=True))
    ]


FALLING = history(30.0, 20.0, 12.0, 11.95, 11.9, 11.85)


@pytest.mark.parametrize(
    ("settings", "seconds", "rule"),
    [
        ({}, 1e9, None),
        ({"loss": 11.85}, 0, "loss"),
        ({"loss": 11.8}, 0, None),
        ({"noise_floor": True}, 0, None),
        ({"seconds": 60}, 59.9, None),
        ({"seconds": 60}, 60.0, "seconds"),
        ({"stagnation": 30, "improvement": 0.2}, 0, "stagnation"),
        ({"stagnation": 30, "improvement": 0.1}, 0, None),
        ({"stagnation": 40, "improvement": 0.2}, 0, None),
        ({"stagnation": 20}, 0, "stagnation"),
        ({"stagnation": 20, "seconds": 1, "loss": 50}, 5, "loss"),
        ({"stagnation": 20, "seconds": 1}, 5, "stagnation"),
    ],
)
def test_rules(settings, seconds, rule):
    assert stopped_by(StopSettings(**settings), FALLING, seconds, noise_floor=10.8) == rule


def test_noise_floor():
    assert stopped_by(StopSettings(noise_floor=True), FALLING, 0, noise_floor=11.85) == "noise-floor"
    assert stopped_by(StopSettings(noise_floor=True), FALLING, 0, noise_floor=float("nan")) is None


def test_nothing_ends_what_has_not_begun():
    everything = StopSettings(seconds=1, loss=100, noise_floor=True, stagnation=1)
    assert stopped_by(everything, [], 99, noise_floor=50) is None


def test_stagnation_looks_at_what_is_minimised_and_loss_at_the_loss():
    records = history(30.0, 20.0, 19.0, losses=[10.0, 12.0, 12.0])
    assert stopped_by(StopSettings(stagnation=10, improvement=0.5), records, 0, 1) is None
    assert stopped_by(StopSettings(loss=12.0), records, 0, 1) == "loss"
    assert stopped_by(StopSettings(loss=11.0), records, 0, 1) is None


def test_stagnation_where_everything_failed():
    rule = StopSettings(stagnation=10)
    assert stopped_by(rule, history(None, None), 0, 1) == "stagnation"
    assert stopped_by(rule, history(None, 12.0), 0, 1) is None
    assert stopped_by(StopSettings(loss=5.0, noise_floor=True), history(None, None), 0, 1) is None


def test_stagnation_counts_evaluations_where_populations_shrink():
    records = [Record(g + 1, n, 9.0, 9.0, None, None, 0, (), objective=9.0) for g, n in enumerate([20, 36, 48, 56, 60])]
    assert stopped_by(StopSettings(stagnation=40), records, 0, 1) == "stagnation"  # 60 against 20
    assert stopped_by(StopSettings(stagnation=41), records, 0, 1) is None


def test_reasons_in_words():
    settings = StopSettings(seconds=90, loss=2.5, stagnation=400, improvement=0.25)
    assert in_words("evaluations", settings) == "its budget was spent"
    assert in_words("seconds", settings) == "its 90 seconds were over"
    assert in_words("noise-floor", settings) == "its loss came to the noise floor"
    assert in_words("stagnation", settings) == "no gain of more than 0.25 points in 400 evaluations"


def test_curve_has_the_generations_that_changed_the_best():
    records = history(None, 30.0, 30.0, 20.0, 20.0, 20.0)
    curve = Curve.of(records, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    assert curve.to_json() == {
        "evaluations": [10, 20, 40, 60],
        "passes": [40, 80, 160, 240],
        "seconds": [1.0, 3.0, 15.0, 63.0],
        "loss": [None, 30.0, 20.0, 20.0],
    }
    assert Curve.of([], []).to_json() == {"evaluations": [], "passes": [], "seconds": [], "loss": []}


def test_curve_against_every_generation():
    rng = np.random.default_rng([12, 1])
    bests = np.minimum.accumulate(rng.uniform(0, 30, 200)).tolist()
    records = history(*bests)
    curve = Curve.of(records, [0.5] * 200)
    for record in records:
        at = max(i for i, spent in enumerate(curve.evaluations) if spent <= record.evaluations)
        assert curve.loss[at] == record.best
    assert list(curve.seconds) == [e / 20 for e in curve.evaluations]

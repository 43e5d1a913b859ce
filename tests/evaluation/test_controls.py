"""Control targets: as far to go as the target, and not the target."""

import numpy as np
import pytest

from hofsteer.errors import TargetError
from hofsteer.evaluation.controls import APART, control_targets
from hofsteer.targets import complete_countries, index_loss, load_target

NAIVE = load_target("USA").vector(load_target("USA").dimensions)


def test_countries_at_a_similar_naive_distance_and_nonsense_far_from_the_target():
    china = load_target("CHN")
    found = control_targets(china, NAIVE, complete_countries())
    goal = china.vector(china.dimensions)
    assert len(found) == len({control.code for control in found}) == 39
    assert "CHN" not in {control.code for control in found}
    own = index_loss(goal, NAIVE)
    countries, nonsense = found[:29], found[29:]
    apart = [abs(index_loss(c.vector(c.dimensions), NAIVE) - own) for c in countries]
    left_out = [c for c in complete_countries() if c.code not in {x.code for x in (*countries, china)}]
    assert max(apart) <= min(abs(index_loss(c.vector(c.dimensions), NAIVE) - own) for c in left_out) + 1e-9
    for control in nonsense:
        scores = control.vector(china.dimensions)
        assert index_loss(scores, goal) >= APART
        if "shuffle" in control.code:
            assert sorted(scores) == sorted(goal)
    assert {control.code.split("-")[1] for control in nonsense} == {"mirror", "shuffle"}


def test_same_seed_same_controls():
    codes = [
        [
            tuple(c.vector(c.dimensions))
            for c in control_targets(load_target("JPN"), NAIVE, complete_countries(), seed=s)
        ]
        for s in (1, 1, 2)
    ]
    assert codes[0] == codes[1] != codes[2]


def test_only_the_dimensions_that_the_target_has():
    albania = load_target("ALB@hofstede-2015")  # two dimensions
    found = control_targets(albania, NAIVE, complete_countries(), n_others=2)
    assert set(found[-1].scores) == {"LTO", "IVR"}


def test_too_few_countries_are_said():
    with pytest.raises(TargetError, match="want 29 other countries as controls, got 3"):
        control_targets(load_target("JPN"), NAIVE, complete_countries()[:3])


def test_a_flat_target_has_no_nonsense():
    japan = load_target("JPN")
    flat = type(japan)(**{**japan.__dict__, "scores": dict.fromkeys(japan.scores, 50.0)})
    with pytest.raises(TargetError, match="controls at least 15 points from Japan"):
        control_targets(flat, np.full(6, 50.0), complete_countries())

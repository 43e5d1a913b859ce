from itertools import product

import numpy as np
import pytest

from hofsteer.config import EXPECTED, ReadOut
from hofsteer.evaluation.floor import greedy_floor, ideal_answers, read_out_floor
from hofsteer.instruments import Administration, load_instrument
from hofsteer.targets import constants_for, load_target, target_for


@pytest.mark.parametrize("code", ["SAU", "USA", "CHN", "IND", "JPN", "SWE"])
def test_ideal_answers_have_the_scores_of_the_target(code, vsm13):
    constants, target = constants_for(vsm13, None), load_target(code)
    answers = ideal_answers(vsm13, constants, target)
    np.testing.assert_allclose(answers.sum(axis=1), 1.0)
    wanted = target.vector(vsm13.dimension_ids)
    np.testing.assert_allclose(vsm13.score(answers) + constants.values, wanted, atol=1e-9)
    assert read_out_floor([Administration(vsm13)], constants, target, EXPECTED) == pytest.approx(0, abs=1e-9)


def test_the_rougher_the_read_out_the_higher_the_floor(vsm13):
    constants, target, form = constants_for(vsm13, None), load_target("SAU"), [Administration(vsm13)]
    cool = {"temperature": 0.8, "top_p": 0.8}
    tempered, sampled, greedy = (
        read_out_floor(form, constants, target, ReadOut(kind=kind, **cool))
        for kind in ("tempered", "sampled", "greedy")
    )
    assert 0 < tempered < sampled < greedy
    many = read_out_floor(form, constants, target, ReadOut(kind="sampled", draws=400))
    assert many < sampled / 3  # draws at temperature 1 find the truth in the end
    assert read_out_floor(form, constants, target, ReadOut(kind="generated", **cool)) == sampled


def test_other_instruments_have_a_floor_too():
    ivs10 = load_instrument("ivs10")
    constants, target = constants_for(ivs10, None), target_for("JPN", ivs10)
    assert read_out_floor([Administration(ivs10)], constants, target, EXPECTED) == pytest.approx(0, abs=1e-9)
    assert read_out_floor([Administration(ivs10)], constants, target, ReadOut(kind="greedy")) > 0.1


def test_greedy_floor_is_the_best_of_all_answers():
    """Every answer pattern of the four items of each index, by brute force."""
    instrument = load_instrument("vsm13")
    constants, target = constants_for(instrument, "midpoint"), load_target("JPN")
    gaps = []
    for weights, goal in zip(instrument.weights, target.vector(instrument.dimension_ids), strict=True):
        patterns = np.array(list(product(range(1, 6), repeat=int((weights != 0).sum()))))
        gaps.append(np.abs(patterns @ weights[weights != 0] + 50 - goal).min())
    assert greedy_floor(instrument, constants, target) == pytest.approx(np.mean(gaps))

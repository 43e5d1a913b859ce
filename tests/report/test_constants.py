from dataclasses import replace

import numpy as np

from hofsteer.report import adapter_card, constants_note, losses_note, policies_note, weak_constants
from hofsteer.targets import Tie, load_constants, tie_constants


def tied(vsm13, computed):
    published = np.array([[10.0, np.nan, 30, 40, 50, 60], [50.0, np.nan, 70, 80, 90, 100]])
    tie = Tie(("USA", "JPN"), computed, published, left_out=("CHN",))
    return tie_constants("fitted", vsm13, tie)


def test_constants_with_what_they_rest_on(vsm13):
    said = constants_note(tied(vsm13, np.outer([0.0, 20], np.ones(6))), vsm13.dimension_ids)
    assert said == (
        "Constants fitted: PDI 20.0, IDV 50.0, MAS 40.0, UAI 50.0, LTO 60.0, IVR 70.0, so that the personas of 2 "
        "countries score as published on average; C = 50 for IDV, where none has a published score (no usable answers: "
        "CHN). Slope and R2 of computed on published scores: PDI 0.50 and 1.00, IDV - and -, MAS 0.50 and 1.00, "
        "UAI 0.50 and 1.00, LTO 0.50 and 1.00, IVR 0.50 and 1.00."
    )
    midpoint = load_constants("midpoint", vsm13.dimension_ids)
    assert constants_note(midpoint, vsm13.dimension_ids).startswith("Constants midpoint: C = 50: neutral answers")


def test_warning_names_the_dimensions(vsm13):
    weak = tied(vsm13, np.zeros((2, 6))).weak(vsm13.dimension_ids)
    assert weak == ("PDI", "MAS", "UAI", "LTO", "IVR")
    assert "follow the published ones on PDI, MAS, UAI, LTO, IVR: no constants make them comparable" in weak_constants(
        weak
    )


def test_losses_under_each_policy(evaluate, vsm13):
    evaluation = evaluate()
    assert policies_note(evaluation) is None
    policies = (tied(vsm13, np.zeros((2, 6))), load_constants("midpoint", vsm13.dimension_ids))
    losses = {"fitted": 3.0, "midpoint": 4.26}
    rows = {
        key: replace(row, losses=losses if key in ("naive", "flat") else {}) for key, row in evaluation.rows.items()
    }
    both = replace(evaluation, policies=policies, rows=rows)
    assert policies_note(both) == (
        "Loss under each policy of constants: naive fitted 3.0, midpoint 4.3; flat (neutral answers) fitted 3.0, "
        "midpoint 4.3."
    )
    assert losses_note(losses, 2) == "Loss under each policy of constants: fitted 3.00, midpoint 4.26."
    card = adapter_card(both, "some/Model-8B", vsm13)
    for said in (constants_note(policies[0], vsm13.dimension_ids), policies_note(both), "Warning: under personas"):
        assert said in card

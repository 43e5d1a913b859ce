import json
from dataclasses import replace

import numpy as np
import pytest

from hofsteer import ScriptedRespondent, SoftPrompt, load_target
from hofsteer.alignment.objective import Objective, forms
from hofsteer.errors import ModelError
from hofsteer.evaluation.base import answered_row, evaluate_run, neutral_shares
from hofsteer.instruments import load_instrument
from hofsteer.targets import complete_countries, load_constants

JAPAN = np.array([54, 46, 95, 92, 88, 42])


@pytest.fixture
def objective(vsm13, neutral_answers):
    """Neutral answers; under the persona of Japan item 7 is answered with 5, so PDI is 120."""
    persona = neutral_answers.copy()
    persona[6] = [0, 0, 0, 0, 1]
    respondent = ScriptedRespondent(neutral_answers, {"You live in Japan.": persona}, valid_mass=0.8)
    constants = load_constants("midpoint", vsm13.dimension_ids)
    return Objective(respondent, forms(vsm13, (0,), ("listed",)), constants, load_target("JPN"))


@pytest.fixture
def steering():
    """Tilts item 7 upwards, so that PDI rises."""
    values = np.zeros((2, 24), dtype=np.float32)
    values[:, 6] = 0.5
    return SoftPrompt(values)


def test_rows_by_hand(objective, steering):
    rows = evaluate_run(objective, steering).rows
    assert list(rows) == ["naive", "persona", "aligned", "flat", "mean_country", "nearest"]
    np.testing.assert_allclose(rows["naive"].scores, np.full(6, 50.0))
    np.testing.assert_allclose(rows["persona"].scores, [120, 50, 50, 50, 50, 50])
    np.testing.assert_allclose(rows["flat"].scores, np.full(6, 50.0))
    odds = np.exp(0.5 * np.arange(1, 6))
    tilted = 35 * (odds @ np.arange(1, 6) / odds.sum() - 3) + 50
    np.testing.assert_allclose(rows["aligned"].scores, [tilted, 50, 50, 50, 50, 50])
    others = np.abs(JAPAN - 50)[1:].sum()
    assert rows["naive"].loss == rows["flat"].loss == pytest.approx((4 + others) / 6)
    assert rows["persona"].loss == pytest.approx((66 + others) / 6)
    assert rows["aligned"].loss == pytest.approx((abs(tilted - 54) + others) / 6)


def test_rows_that_need_no_model(objective, steering, vsm13):
    rows = evaluate_run(objective, steering).rows
    others = [c.vector(vsm13.dimension_ids) for c in complete_countries() if c.code != "JPN"]
    np.testing.assert_allclose(rows["mean_country"].scores, np.mean(others, axis=0))
    assert rows["mean_country"].loss == pytest.approx(np.abs(np.mean(others, axis=0) - JAPAN).mean())
    assert rows["nearest"].name == "nearest (Hungary)"
    np.testing.assert_array_equal(rows["nearest"].scores, load_target("HUN").vector(vsm13.dimension_ids))
    assert rows["nearest"].loss == pytest.approx(np.abs(np.array([46, 80, 88, 82, 58, 31]) - JAPAN).mean())


def test_valid_mass_only_where_a_model_answered(objective, steering):
    rows = evaluate_run(objective, steering).rows
    assert {key: row.valid_mass for key, row in rows.items()} == {
        "naive": pytest.approx(0.8),
        "persona": pytest.approx(0.8),
        "aligned": pytest.approx(0.8),
        "flat": None,
        "mean_country": None,
        "nearest": None,
    }


def test_skill_and_noise_floor(objective, steering, vsm13):
    evaluation = evaluate_run(objective, steering)
    assert evaluation.skill == 1 - evaluation.rows["aligned"].loss / evaluation.rows["mean_country"].loss
    assert evaluation.noise_floor == vsm13.noise_floor(50)
    assert round(evaluation.noise_floor) == 11


def test_skill_of_the_mean_country_is_zero_and_of_a_hit_one(objective, steering):
    evaluation = evaluate_run(objective, steering)
    rows = evaluation.rows
    rows["aligned"] = rows["mean_country"]
    assert evaluation.skill == 0
    rows["aligned"] = type(rows["naive"])("steered", JAPAN.astype(float), 0.0)
    assert evaluation.skill == 1


def test_neutral_shares_have_the_neutral_mean(vsm13):
    np.testing.assert_array_equal(neutral_shares(vsm13)[0], [0, 0, 1, 0, 0])
    vignettes = load_instrument("vignettes")  # a choice of two, so that no option lies in the middle
    np.testing.assert_allclose(neutral_shares(vignettes)[0], [0.5, 0.5])
    for instrument in (vsm13, vignettes, load_instrument("ivs10")):
        shares = neutral_shares(instrument)
        np.testing.assert_allclose(np.nansum(shares, axis=1), 1)
        np.testing.assert_allclose(instrument.item_means(np.nan_to_num(shares)), instrument.neutral_means)


def test_json(objective, steering):
    table = evaluate_run(objective, steering).to_json()
    assert list(table) == [
        "target",
        "dimensions_compared",
        "estimated",
        "noise_floor",
        "n",
        "standard_errors",
        "minimised",
        "item_noise_floors",
        "source_losses",
        "source_spread",
        "greedy_floor",
        "read_out_floor",
        "skill",
        "constants",
        "polish",
        "notes",
        "rows",
    ]
    assert (table["target"], table["dimensions_compared"]) == ("JPN", ["PDI", "IDV", "MAS", "UAI", "LTO", "IVR"])
    assert table["noise_floor"] == {"points": pytest.approx(10.8, abs=0.1), "n": 50}
    keys = ["name", "loss", "loss_sum", "scores", "valid_mass", "drift", "losses", "item_losses"]
    assert all(list(row) == keys for row in table["rows"].values())
    naive = table["rows"]["naive"]
    assert naive["loss_sum"] == pytest.approx(6 * naive["loss"]) == pytest.approx(np.abs(JAPAN - 50).sum())
    assert json.loads(json.dumps(table, allow_nan=False)) == table


def test_target_with_gaps(objective, steering):
    table = evaluate_run(replace(objective, target=load_target("SAU@hofstede-2015")), steering).to_json()
    assert table["dimensions_compared"] == ["LTO", "IVR"]
    assert table["noise_floor"]["points"] == pytest.approx(11.3, abs=0.05)  # of these two
    assert table["rows"]["naive"]["loss"] == pytest.approx((14 + 2) / 2)
    assert table["rows"]["naive"]["loss_sum"] == pytest.approx(14 + 2)
    assert table["rows"]["naive"]["scores"]["PDI"] == pytest.approx(50)  # scored, but not compared
    json.dumps(table, allow_nan=False)


def test_dimension_that_no_country_has_is_null(objective, steering, vsm13):
    renamed = tuple(replace(d, id="X") if d.id == "IVR" else d for d in vsm13.dimensions)
    asked = forms(replace(vsm13, dimensions=renamed), (0,), ("listed",))
    table = evaluate_run(replace(objective, administrations=asked), steering).to_json()
    assert table["dimensions_compared"] == ["PDI", "IDV", "MAS", "UAI", "LTO"]
    assert table["rows"]["mean_country"]["scores"]["X"] is None
    assert table["rows"]["naive"]["scores"]["X"] == pytest.approx(50)
    json.dumps(table, allow_nan=False)


def test_answers_that_cannot_be_used(vsm13, neutral_answers):
    constants = load_constants("midpoint", vsm13.dimension_ids)
    silent = ScriptedRespondent(neutral_answers, valid_mass=1e-9)
    objective = Objective(silent, forms(vsm13, (0,), ("listed",)), constants, load_target("JPN"))
    with pytest.raises(ModelError, match=r"no usable answers \(naive\): the model gives no probability"):
        answered_row("naive", objective.evaluate())

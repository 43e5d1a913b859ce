from dataclasses import replace

import numpy as np
import pytest

from hofsteer.alignment.objective import Objective, forms
from hofsteer.config import EXPECTED, ObjectiveSettings
from hofsteer.errors import InstrumentError, ModelError, TargetError
from hofsteer.respondent import Respondent, Responses, ScriptedRespondent
from hofsteer.respondent.base import make_responses
from hofsteer.targets import load_constants, load_target

JAPAN = [54, 46, 95, 92, 88, 42]


class ByWording(Respondent):
    """Answers option `wording` + 1 of every item, surely; a soft prompt's first number below zero breaks it."""

    width, spread = 3, 1.0

    def __init__(self, instrument, broken_wordings=()):
        self.instrument = instrument
        self.broken_wordings = broken_wordings

    def respond(self, administrations, soft_prompts=None, read_out=EXPECTED) -> Responses:
        prompts = np.zeros((1, 1, 3)) if soft_prompts is None else soft_prompts
        logs = np.full((len(prompts), len(administrations), *self.instrument.option_mask.shape), -np.inf)
        for a, administration in enumerate(administrations):
            logs[:, a, :, administration.wording] = 0.0
            if administration.wording in self.broken_wordings:
                logs[prompts[:, 0, 0] < 0, a, 4] = np.nan
        return make_responses(logs, self.instrument.option_mask)


def make(vsm13, respondent, target="JPN", wordings=(0,), orders=("listed",)):
    constants = load_constants("midpoint", vsm13.dimension_ids)
    row = None if target is None else load_target(target)
    return Objective(respondent, forms(vsm13, wordings, orders), constants, row)


def certain(vsm13, answers):
    """A table that answers `answers[item]`, else 3, with certainty."""
    table = np.zeros(vsm13.option_mask.shape)
    for row, item in enumerate(vsm13.item_ids):
        table[row, answers.get(item, 3) - 1] = 1.0
    return table


def test_loss_by_hand(vsm13):
    # PDI = 35(m7 - m2) + 25(m20 - m23) + 50 = 35 + 50; UAI = 40(m18 - m15) + 25(m21 - m24) + 50 = 80 - 25 + 50
    table = certain(vsm13, {"Q7": 4, "Q18": 5, "Q24": 4})
    evaluation = make(vsm13, ScriptedRespondent(table)).evaluate()
    np.testing.assert_allclose(evaluation.scores, [[85, 50, 50, 105, 50, 50]])
    np.testing.assert_allclose(evaluation.losses, [(31 + 4 + 45 + 13 + 38 + 8) / 6])
    np.testing.assert_allclose(evaluation.item_means[0, [0, 6, 17, 23]], [3, 4, 5, 4])
    np.testing.assert_allclose(evaluation.probabilities[0], table)
    assert evaluation.reasons == (None,)


def test_loss_of_a_spread_out_answer_is_that_of_its_mean(vsm13):
    table = certain(vsm13, {})
    table[6] = [0.1, 0.0, 0.3, 0.2, 0.4]  # mean 3.8: PDI = 35 * 0.8 + 50
    evaluation = make(vsm13, ScriptedRespondent(table)).evaluate()
    assert evaluation.scores[0, 0] == pytest.approx(78)
    assert evaluation.losses[0] == pytest.approx((24 + 4 + 45 + 42 + 38 + 8) / 6)


def test_loss_is_the_mean_over_administrations_not_the_loss_of_the_mean(vsm13):
    # answering 1 or 2 to everything scores 50: vary one item instead
    class Split(ByWording):
        def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
            tables = [certain(vsm13, {"Q7": 1 if a.wording == 0 else 5}) for a in administrations]
            with np.errstate(divide="ignore"):
                return make_responses(np.log(np.stack(tables))[None], vsm13.option_mask)

    evaluation = make(vsm13, Split(vsm13), wordings=(0, 1)).evaluate()
    rest = 4 + 45 + 42 + 38 + 8
    assert evaluation.scores[0, 0] == pytest.approx(50)  # -20 and 120
    assert evaluation.losses[0] == pytest.approx(((74 + rest) / 6 + (66 + rest) / 6) / 2)


def test_dimension_that_the_target_lacks_is_left_out(vsm13):
    table = certain(vsm13, {"Q7": 5})  # PDI 120, which Saudi Arabia does not have in the 2015 matrix
    evaluation = make(vsm13, ScriptedRespondent(table), target="SAU@hofstede-2015").evaluate()
    assert evaluation.scores[0, 0] == pytest.approx(120)
    assert evaluation.losses[0] == pytest.approx((14 + 2) / 2)  # LTO 36, IVR 52


def test_without_a_target_there_is_no_loss(vsm13):
    evaluation = make(vsm13, ScriptedRespondent(certain(vsm13, {})), target=None).evaluate()
    assert np.isnan(evaluation.losses).all()
    np.testing.assert_allclose(evaluation.scores, 50)


def test_a_target_without_any_of_the_dimensions_is_refused(vsm13):
    target = load_target("JPN")
    empty = type(target)("X", "X", "X", "country", {}, {}, frozenset())
    objective = make(vsm13, ScriptedRespondent(certain(vsm13, {})))
    with pytest.raises(TargetError):
        type(objective)(objective.respondent, objective.administrations, objective.constants, empty).evaluate()


def test_failure_is_infinite_with_its_reason_and_leaves_the_others_alone(vsm13):
    prompts = np.ones((3, 1, 3), dtype=np.float32)
    prompts[1] = -1
    evaluation = make(vsm13, ByWording(vsm13, broken_wordings=(1,)), wordings=(0, 1)).evaluate(prompts)
    assert evaluation.losses[1] == np.inf
    assert evaluation.reasons == (None, "the model gave NaN or infinite logits", None)
    np.testing.assert_allclose(evaluation.losses[[0, 2]], np.abs(np.array(JAPAN) - 50).mean())
    assert np.isnan(evaluation.scores[1]).all()
    assert np.isfinite(evaluation.scores[[0, 2]]).all()


def test_no_mass_is_a_failure_not_a_neutral_answer(vsm13):
    evaluation = make(vsm13, ScriptedRespondent(certain(vsm13, {}), valid_mass=1e-9)).evaluate()
    assert evaluation.losses[0] == np.inf
    assert "no probability to the answer options" in evaluation.reasons[0]


def test_a_failure_stays_one_without_a_target(vsm13):
    evaluation = make(vsm13, ScriptedRespondent(certain(vsm13, {}), valid_mass=1e-9), target=None).evaluate()
    assert evaluation.losses[0] == np.inf


def test_same_prompt_same_loss_wherever_it_stands(vsm13, neutral_answers):
    objective = make(vsm13, ScriptedRespondent(neutral_answers))
    prompts = np.random.default_rng(5).normal(size=(6, 2, 24)).astype(np.float32)
    losses = objective.evaluate(prompts).losses
    np.testing.assert_array_equal(losses, objective.evaluate(prompts).losses)
    np.testing.assert_allclose(losses[::-1], objective.evaluate(prompts[::-1]).losses, rtol=1e-12)
    assert len(set(losses)) == 6


def test_valid_mass_is_averaged_over_administrations(vsm13, neutral_answers):
    evaluation = make(vsm13, ScriptedRespondent(neutral_answers, valid_mass=0.4), wordings=(0, 1)).evaluate()
    np.testing.assert_allclose(evaluation.valid_mass, np.full((1, 24), 0.4))


def test_with_system_asks_the_same_forms_under_a_text(vsm13, neutral_answers):
    answers = certain(vsm13, {"Q7": 4})
    objective = make(vsm13, ScriptedRespondent(neutral_answers, {"You live in Japan.": answers}), wordings=(0, 1))
    persona = objective.with_system("You live in Japan.")
    assert [(a.wording, a.system) for a in persona.administrations] == [
        (0, "You live in Japan."),
        (1, "You live in Japan."),
    ]
    assert persona.evaluate().scores[0, 0] == pytest.approx(85)
    assert objective.evaluate().scores[0, 0] == pytest.approx(50)
    assert all(a.system is None for a in objective.administrations)


def test_forms_are_every_wording_in_every_order(vsm13):
    assert [(a.wording, a.order) for a in forms(vsm13, (1, 0), ("listed", "reversed"))] == [
        (1, "listed"),
        (1, "reversed"),
        (0, "listed"),
        (0, "reversed"),
    ]
    with pytest.raises(InstrumentError, match="wanted wording 99"):
        forms(vsm13, (99,), ("listed",))


def test_forms_by_default_are_two_wordings_or_the_one_there_is(vsm13):
    both = ("listed", "reversed")
    assert forms(vsm13, None, both) == forms(vsm13, (0, 1), both)
    single = replace(vsm13, items=tuple(replace(item, wordings=item.wordings[:1]) for item in vsm13.items))
    assert forms(single, None, both) == forms(single, (0,), both)


# --- weights and penalties: what is minimised besides the loss


class Drifting(ScriptedRespondent):
    """Drifts as far as the first number of its soft prompt says; nobody knows where below zero."""

    def drift(self, soft_prompts):
        first = soft_prompts[:, 0, 0].astype(float)
        return np.where(first < 0, np.nan, first)


def test_without_settings_the_objective_is_the_loss(vsm13, neutral_answers):
    prompts = np.random.default_rng(5).normal(size=(6, 2, 24)).astype(np.float32)
    evaluation = make(vsm13, ScriptedRespondent(neutral_answers, valid_mass=0.3), wordings=(0, 1)).evaluate(prompts)
    np.testing.assert_array_equal(evaluation.objectives, evaluation.losses)
    assert evaluation.drift is None


def test_weights_by_hand(vsm13):
    table = certain(vsm13, {"Q7": 4, "Q18": 5, "Q24": 4})
    settings = ObjectiveSettings(weights={"PDI": 2.0, "MAS": 0.0})
    evaluation = replace(make(vsm13, ScriptedRespondent(table)), settings=settings).evaluate()
    assert evaluation.losses[0] == pytest.approx((31 + 4 + 45 + 13 + 38 + 8) / 6)  # stays plain
    assert evaluation.objectives[0] == pytest.approx((2 * 31 + 4 + 13 + 38 + 8) / 6)  # weights 2 1 0 1 1 1


def test_weights_count_on_the_dimensions_that_the_target_has(vsm13):
    objective = make(vsm13, ScriptedRespondent(certain(vsm13, {})), target="SAU@hofstede-2015")  # LTO 36, IVR 52
    weighted = replace(objective, settings=ObjectiveSettings(weights={"PDI": 9.0, "LTO": 3.0}))
    assert weighted.evaluate().objectives[0] == pytest.approx((3 * 14 + 2) / 4)
    nothing = replace(objective, settings=ObjectiveSettings(weights={"LTO": 0.0, "IVR": 0.0}))
    with pytest.raises(TargetError, match="a weight above 0 on at least one dimension"):
        nothing.evaluate()


def test_lost_mass_costs_points_item_by_item(vsm13, neutral_answers):
    objective = make(vsm13, ScriptedRespondent(neutral_answers, valid_mass=0.6))
    penalised = replace(objective, settings=ObjectiveSettings(mass_penalty=20.0, mass_threshold=0.8))
    evaluation = penalised.evaluate()
    assert evaluation.objectives[0] - evaluation.losses[0] == pytest.approx(20 * 0.2)
    enough = replace(objective, settings=ObjectiveSettings(mass_penalty=20.0, mass_threshold=0.6)).evaluate()
    assert enough.objectives[0] == pytest.approx(enough.losses[0], abs=1e-9)


def test_drift_costs_points_a_nat(vsm13, neutral_answers):
    objective = make(vsm13, Drifting(neutral_answers))
    objective = replace(objective, settings=ObjectiveSettings(drift_penalty=50.0))
    prompts = np.zeros((3, 1, 24), dtype=np.float32)
    prompts[:, 0, 0] = [0.0, 0.5, -1.0]
    evaluation = objective.evaluate(prompts)
    np.testing.assert_allclose(evaluation.objectives[:2] - evaluation.losses[:2], [0, 25])
    assert (evaluation.losses[2], evaluation.objectives[2]) == (np.inf, np.inf)  # its drift cannot be told
    assert evaluation.reasons == (None, None, "the model gave NaN or infinite logits")
    assert objective.evaluate().drift.tolist() == [0.0]  # without a soft prompt nothing moves
    assert np.isnan(replace(objective, target=None).evaluate(prompts[:2]).objectives).all()


def test_drift_is_measured_only_where_it_costs(vsm13, neutral_answers):
    objective = make(vsm13, ScriptedRespondent(neutral_answers))  # which has no text to drift on
    prompts = np.zeros((1, 1, 24), dtype=np.float32)
    assert objective.evaluate(prompts).drift is None
    with pytest.raises(ModelError, match="leave drift_penalty 0"):
        replace(objective, settings=ObjectiveSettings(drift_penalty=1.0)).evaluate(prompts)


def test_failure_has_an_infinite_objective(vsm13):
    settings = ObjectiveSettings(mass_penalty=10.0, weights={"PDI": 2.0})
    objective = make(vsm13, ScriptedRespondent(certain(vsm13, {}), valid_mass=1e-9))
    assert replace(objective, settings=settings).evaluate().objectives[0] == np.inf


def test_passes_are_counted_in_one_place(vsm13, neutral_answers):
    objective = make(vsm13, ScriptedRespondent(neutral_answers), wordings=(0, 1), orders=("listed", "reversed"))
    assert objective.passes(100) == 400
    assert replace(objective, settings=ObjectiveSettings(drift_penalty=1.0)).passes(100) == 500


def test_noise_floor_is_that_of_the_target_s_dimensions(vsm13, neutral_answers):
    respondent = ScriptedRespondent(neutral_answers)
    assert make(vsm13, respondent).noise_floor == vsm13.noise_floor(50)
    longer = np.array([False, False, False, False, True, True])  # LTO and IVR
    assert make(vsm13, respondent, target="SAU@hofstede-2015").noise_floor == vsm13.noise_floor(50, compared=longer)
    assert np.isnan(make(vsm13, respondent, target=None).noise_floor)


def test_the_mean_size_of_the_errors_is_the_loss(vsm13, neutral_answers):
    table = certain(vsm13, {"Q7": 4, "Q18": 5, "Q24": 4})
    plain = make(vsm13, ScriptedRespondent(table), wordings=(0, 1))
    found = plain.evaluate()
    assert found.errors.shape == (1, 12)
    np.testing.assert_allclose(found.errors[0, :6], [31, 4, -45, 13, -38, 8])  # of the case by hand, above
    np.testing.assert_allclose(np.abs(found.errors).mean(axis=1), found.losses)
    weighted = replace(plain, settings=ObjectiveSettings(weights={"PDI": 3, "IVR": 0}))
    found = weighted.evaluate()
    np.testing.assert_allclose(np.abs(found.errors).mean(axis=1), found.objectives)
    priced = replace(plain, settings=ObjectiveSettings(mass_penalty=40, mass_threshold=1.0))
    half_lost = ScriptedRespondent(table, valid_mass=0.5)
    found = replace(priced, respondent=half_lost).evaluate()
    assert found.errors.shape == (1, 13)
    np.testing.assert_allclose(np.abs(found.errors).sum(axis=1) / 12, found.objectives)
    assert found.objectives[0] == pytest.approx(found.losses[0] + 20)

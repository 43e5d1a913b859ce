import logging
from dataclasses import replace

import numpy as np
import pytest

from hofsteer import ScriptedRespondent, load_target
from hofsteer.alignment.objective import Objective, forms
from hofsteer.baselines import persona_text
from hofsteer.config import EXPECTED
from hofsteer.errors import ModelError
from hofsteer.evaluation.constants import checked_countries, constants_of, departure, every_policy
from hofsteer.evaluation.survey import differences, survey
from hofsteer.instruments import Administration
from hofsteer.targets import constants_for, measured_countries
from hofsteer.world import BIAS_LEFT, Mode, WorldRespondent, load_census, make_world

HIDDEN = np.array([20.0, 80.0, -10.0, 65.0, 110.0, 35.0])  # `midpoint` is up to 60 points wrong
SIX = "anchor:CHN,IND,DEU,FRA,ESP,MEX"


def world_of(vsm13, **mode):
    """A respondent of the world in which the constants are the hidden ones."""
    census = load_census()
    survey = census.survey
    truth = dict(zip(survey.codes, survey.profiles, strict=True))
    hidden = make_world(vsm13, truth, seed=census.seed, constant=HIDDEN)
    return WorldRespondent(replace(census, worlds={**census.worlds, vsm13.id: hidden}), Mode(**mode))


@pytest.fixture
def asked(vsm13):
    return [Administration(vsm13), Administration(vsm13, wording=1, order="reversed")]


@pytest.mark.parametrize("policy", ["fitted", SIX, "anchor:USA,JPN"])
def test_hidden_constants_are_found(policy, vsm13, asked, all_measured_countries):
    constants = constants_of(policy, world_of(vsm13, bias_left=0.0), asked)
    np.testing.assert_allclose(constants.values, HIDDEN, atol=1e-6)
    np.testing.assert_allclose(constants.tie.slopes, np.ones(6), atol=1e-6)
    np.testing.assert_allclose(constants.tie.r_squared, np.ones(6), atol=1e-6)
    assert constants.weak(vsm13.dimension_ids) == ()


def test_a_bias_that_all_personas_share_goes_into_the_constants(vsm13, asked, all_measured_countries):
    # by design a part of the naive answers stays: C moves by that share of the way from the naive to the mean country
    respondent = world_of(vsm13)
    constants = constants_of("fitted", respondent, asked)
    measured = np.stack([c.vector(vsm13.dimension_ids) for c in measured_countries(vsm13.dimension_ids)])
    moved = BIAS_LEFT * (measured.mean(axis=0) - respondent.knowledge.naive.profile)
    np.testing.assert_allclose(constants.values - HIDDEN, moved, atol=1e-6)
    assert np.abs(constants.values - HIDDEN).mean() < 2
    np.testing.assert_allclose(constants.tie.slopes, np.full(6, 1 - BIAS_LEFT), atol=1e-6)


def test_personas_that_do_nothing_have_slope_zero(vsm13, asked, all_measured_countries):
    constants = constants_of("fitted", world_of(vsm13, personas=False), asked)
    np.testing.assert_array_equal(constants.tie.slopes, np.zeros(6))
    assert constants.weak(vsm13.dimension_ids) == vsm13.dimension_ids


def test_policies_that_ask_nobody(vsm13, neutral_answers):
    class Mute(ScriptedRespondent):
        def respond(self, *args, **kwargs):
            pytest.fail("somebody was asked")

    constants = constants_of("midpoint", Mute(neutral_answers), [Administration(vsm13)])
    np.testing.assert_array_equal(constants.values, np.full(6, 50.0))


class Silent(ScriptedRespondent):
    """Gives no answers under some personas."""

    def __init__(self, answers, codes):
        super().__init__(answers)
        self.texts = {persona_text(load_target(code)) for code in codes}

    def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
        self.valid_mass = 1e-12 if administrations[0].system in self.texts else 1.0
        return super().respond(administrations, soft_prompts, read_out)


def test_persona_without_usable_answers(vsm13, neutral_answers, all_measured_countries):
    form = [Administration(vsm13)]
    constants = constants_of("fitted", Silent(neutral_answers, ["JPN", "USA"]), form)
    assert (len(constants.tie.countries), constants.tie.left_out) == (62, ("JPN", "USA"))
    with pytest.raises(ModelError, match=r"^no constants anchor:USA,BRA: no usable answers under the persona of USA; "):
        constants_of("anchor:USA,BRA", Silent(neutral_answers, ["USA"]), form)
    codes = [country.code for country in measured_countries(vsm13.dimension_ids)]
    with pytest.raises(ModelError, match="no constants fitted"):
        constants_of("fitted", Silent(neutral_answers, codes[:40]), form)


def test_progress_is_told(vsm13, neutral_answers):
    told = []
    respondent, form = ScriptedRespondent(neutral_answers), Administration(vsm13)
    constants_of("anchor:USA,BRA", respondent, [form], watch=lambda *numbers: told.append(numbers))
    assert told == [(1, 2), (2, 2)]


def test_every_policy(vsm13, neutral_answers, caplog):
    respondent = ScriptedRespondent(neutral_answers)

    def kinds(policy, respondent=respondent):
        asked = forms(vsm13, (0,), ("listed",))
        objective = Objective(respondent, asked, constants_of(policy, respondent, asked), load_target("JPN"))
        return [constants.kind for constants in every_policy(objective)]

    assert kinds("midpoint") == ["midpoint", "fitted"]
    assert kinds("fitted") == ["fitted", "midpoint"]
    assert kinds("anchor:USA,JPN") == ["anchor:USA,JPN", "midpoint", "fitted"]
    codes = [country.code for country in measured_countries(vsm13.dimension_ids)]
    with caplog.at_level(logging.WARNING):
        assert kinds("midpoint", Silent(neutral_answers, codes)) == ["midpoint"]
    assert "no constants fitted" in caplog.text


def test_departure(vsm13, asked):
    respondent = world_of(vsm13)
    constants = constants_of(SIX, respondent, asked)
    assert [country.code for country in checked_countries(constants)] == ["CHN", "IND", "DEU", "FRA"]
    assert departure(constants, respondent, asked, EXPECTED) == 0
    assert departure(constants, world_of(vsm13, bias_left=0.0), asked, EXPECTED) > 1
    assert departure(constants_for(vsm13), respondent, asked, EXPECTED) == 0


def test_differences_need_no_constants(vsm13, asked):
    respondent = world_of(vsm13, bias_left=0.0)

    def under(code, policy):
        target = load_target(code)
        objective = Objective(respondent, tuple(asked), constants_for(vsm13, policy), target)
        return survey(objective.with_system(persona_text(target)))

    surveys = [under(code, "midpoint") for code in ("JPN", "USA", "BRA")]
    assert min(s.loss for s in surveys) > 20
    np.testing.assert_allclose(differences(surveys), np.zeros(6), atol=1e-6)
    assert differences(surveys[:1]) is None
    assert differences([surveys[0], surveys[0]]) is None
    np.testing.assert_allclose(differences([under("JPN", "none"), under("USA", "none")]), np.zeros(6), atol=1e-6)

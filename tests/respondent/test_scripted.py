import numpy as np
import pytest

from hofsteer.errors import SoftPromptError
from hofsteer.instruments import Administration
from hofsteer.respondent import ScriptedRespondent


@pytest.fixture
def answers(vsm13):
    """A table in which every item is answered differently."""
    return np.random.default_rng(1).dirichlet(np.ones(5), size=len(vsm13.items))


def test_without_a_soft_prompt_the_table_is_the_answer(vsm13, answers):
    responses = ScriptedRespondent(answers).respond([Administration(vsm13), Administration(vsm13, order="reversed")])
    assert responses.probabilities.shape == (1, 2, 24, 5)
    for administration in range(2):  # wording and order change nothing
        np.testing.assert_allclose(responses.probabilities[0, administration], answers, rtol=1e-12)
    np.testing.assert_allclose(responses.valid_mass, 1.0)
    assert responses.failures == (None,)


def test_a_soft_prompt_of_zeros_changes_nothing(vsm13, answers):
    responses = ScriptedRespondent(answers).respond([Administration(vsm13)], np.zeros((3, 2, 24), np.float32))
    np.testing.assert_allclose(responses.probabilities, np.tile(answers, (3, 1, 1, 1)), rtol=1e-12)


def test_the_mean_of_the_rows_tilts_each_item_by_option_value(vsm13, answers):
    soft_prompts = np.random.default_rng(2).normal(size=(4, 3, 24)).astype(np.float32)
    responses = ScriptedRespondent(answers).respond([Administration(vsm13)], soft_prompts)
    for candidate, rows in enumerate(soft_prompts.astype(float)):
        for item in range(24):
            odds = answers[item] * np.exp(rows[:, item].mean() * np.arange(1, 6))
            np.testing.assert_allclose(responses.probabilities[candidate, 0, item], odds / odds.sum(), rtol=1e-9)


def test_every_mean_answer_can_be_reached(vsm13, neutral_answers):
    respondent = ScriptedRespondent(neutral_answers)
    tilts = np.array([-50, 0, 50], dtype=np.float32)[:, None, None] * np.ones((1, 1, 24), np.float32)
    means = vsm13.item_means(respondent.respond([Administration(vsm13)], tilts).probabilities)[:, 0]
    np.testing.assert_allclose(means, np.repeat([[1.0], [3.0], [5.0]], 24, axis=1), atol=1e-9)


def test_a_huge_soft_prompt_is_still_an_answer(vsm13, neutral_answers):
    responses = ScriptedRespondent(neutral_answers).respond(
        [Administration(vsm13)], np.full((1, 1, 24), 1e30, np.float32)
    )
    assert responses.failures == (None,)
    np.testing.assert_array_equal(responses.probabilities[0, 0, :, 4], 1.0)


def test_a_persona_answers_from_its_own_table(vsm13, answers, neutral_answers):
    respondent = ScriptedRespondent(neutral_answers, personas={"You live in Japan.": answers})
    systems = (None, "You live in Japan.", "You live in Peru.")
    responses = respondent.respond([Administration(vsm13, system=system) for system in systems])
    for place, table in enumerate((neutral_answers, answers, neutral_answers)):
        np.testing.assert_allclose(responses.probabilities[0, place], table, rtol=1e-12)


def test_valid_mass_is_what_was_asked_for(vsm13, answers):
    responses = ScriptedRespondent(answers, valid_mass=0.25).respond([Administration(vsm13)])
    np.testing.assert_allclose(responses.valid_mass, 0.25)
    np.testing.assert_allclose(responses.probabilities[0, 0], answers, rtol=1e-12)


@pytest.mark.parametrize("valid_mass", [0.0, 1e-9])
def test_no_mass_is_a_failure(vsm13, answers, valid_mass):
    responses = ScriptedRespondent(answers, valid_mass=valid_mass).respond([Administration(vsm13)])
    assert "no probability to the answer options" in str(responses.failures[0])
    assert np.isnan(responses.probabilities).all()


def test_a_soft_prompt_of_nan_is_a_failure_of_its_candidate(vsm13, answers):
    soft_prompts = np.zeros((2, 1, 24), np.float32)
    soft_prompts[0, 0, 7] = np.nan
    responses = ScriptedRespondent(answers).respond([Administration(vsm13)], soft_prompts)
    assert responses.failures == ("the model gave NaN or infinite logits", None)


def test_an_item_that_the_table_leaves_empty_is_a_failure(vsm13, answers):
    answers[3] = 0.0
    assert ScriptedRespondent(answers).respond([Administration(vsm13)]).failures != (None,)


def test_items_with_fewer_options(make_instrument):
    instrument = make_instrument(2, 4)
    answers = np.array([[0.9, 0.1, np.nan, 0.7], [0.1, 0.2, 0.3, 0.4]])  # what stands at padded options is not read
    responses = ScriptedRespondent(answers).respond([Administration(instrument)])
    np.testing.assert_allclose(responses.probabilities[0, 0], [[0.9, 0.1, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]])


def test_wrong_width_is_refused_with_both_widths(vsm13, answers):
    respondent = ScriptedRespondent(answers)
    assert (respondent.width, respondent.spread) == (24, 1.0)
    with pytest.raises(SoftPromptError, match="width 24, got 23"):
        respondent.respond([Administration(vsm13)], np.zeros((1, 1, 23), np.float32))

from dataclasses import replace

import numpy as np
import pytest

from hofsteer.report import (
    MINI_STATEMENT,
    NOT_CONCLUDED,
    item_losses_note,
    noise_floor_note,
    outcome,
    polish_note,
    skill_note,
    statement,
)
from hofsteer.targets import ItemGoal


def test_statement_names_model_instrument_target_and_source(evaluate):
    text = statement("some/Model-8B", evaluate("USA"), "vsm13-own")
    assert text.startswith(
        "This adapter was searched so that the scores of some/Model-8B on vsm13-own items match the published average "
        "of the United States [hofstede-2015; n not recorded]."
    )


def test_statement_names_estimates_and_every_source(evaluate):
    assert (
        "Saudi Arabia [hofstede-insights-2021-04, hofstede-2015, PDI, IDV, MAS, UAI estimated; n not recorded]"
        in statement("m", evaluate("SAU"), "vsm13-own")
    )


def test_statement_of_one_source(evaluate):
    text = statement("m", evaluate("SAU@arab-2021-05"), "vsm13-own")
    assert "Saudi Arabia [arab-2021-05; n not recorded]" in text


def test_outcome_that_beats_its_yardsticks(evaluate):
    assert outcome(evaluate()) == (
        "On the fitted forms the steered model's scores lie 4.0 points from the target (the model alone 30.2, under a "
        "persona 20.5, the mean of the other countries 16.0). It is nearer to the target than these three."
    )


def test_outcome_that_does_not(evaluate):
    text = outcome(evaluate(aligned=18.0))
    assert text.endswith("It is no nearer to the target than: mean country.")
    assert outcome(evaluate(aligned=20.5)).endswith("than: persona, mean country.")
    assert "nearer to the target than these three" not in statement("m", evaluate(aligned=18.0), "vsm13-own")


def test_outcome_is_by_the_loss_that_was_minimised(evaluate_items):
    # W1 6.4 was called nearer than a persona's 6.3 and the mean's 5.2, as its index loss happened to be the least
    evaluation = evaluate_items(naive=8.1, persona=6.3, aligned=6.4, mean_country=5.2)
    assert evaluation.not_beaten == ("persona", "mean group")
    assert outcome(evaluation) == (
        "On the fitted forms the steered model's answers lie W1 6.4 from the target's (the model alone 8.1, under a "
        "persona 6.3, the mean of the other groups 5.2), more than the 4.9 by which two samples like the target's own "
        "differ. It is no nearer to the target than: persona, mean group. By the index loss, which was not "
        "minimised, the steered model's scores lie 4.0 points from the target (the model alone 30.2, under a persona "
        "20.5, the mean of the other groups 16.0)."
    )


def test_outcome_by_an_item_loss_that_beats_its_yardsticks(evaluate_items):
    text = outcome(evaluate_items(naive=8.1, persona=6.3, aligned=4.8, mean_country=5.2))
    assert "no more than the 4.9 by which two samples" in text
    assert "It is nearer to the target than these three. By the index loss" in text


def test_outcome_does_not_claim_to_beat_an_unknown_item_loss(evaluate_items):
    text = outcome(evaluate_items(naive=8.1, persona=6.3, aligned=4.8))
    assert "the mean of the other groups unknown)" in text
    assert "It is nearer to the target than those of these that are known." in text


def test_a_group_stands_among_groups(evaluate):
    # groups of a user's own table were called countries
    made = evaluate()
    group = replace(made, target=replace(made.target, kind="group"))
    assert "the mean of the other groups 16.0" in outcome(group)
    assert skill_note(group) == "Skill is 1 - loss / loss of the mean of the other groups."
    assert skill_note(made) == "Skill is 1 - loss / loss of the mean of the other countries."
    assert "two samples of 150 from one group differ by" in noise_floor_note(6.2, n=150, noun=group.target.noun)


def test_polish_is_told_in_the_loss_that_was_minimised(evaluate_items):
    evaluation = evaluate_items(naive=8.1, persona=6.3, aligned=4.8, mean_country=5.2)
    before = replace(evaluation.rows["aligned"], item_losses={"wasserstein": 5.5})
    evaluation = replace(evaluation, rows={**evaluation.rows, "unpolished": before})
    said = polish_note(evaluation, 3, 8, 9)
    assert "stood at W1 5.5 (row steered)" in said
    assert "led to W1 4.8 (row polished)" in said


def test_outcome_says_which_dimensions_were_compared(evaluate):
    text = outcome(evaluate("SAU@hofstede-2015"))
    assert "points from the target over 2 of 6 dimensions" in text
    assert "PDI, IDV, MAS, UAI: no published score" in text


@pytest.mark.parametrize(
    "words",
    [
        "not a person from there nor that country's culture",
        "most variation in cultural values lies within countries",
        "not for predicting, profiling or judging people",
        "does not replace respondents",
        "nobody's voice",
        "Tested: the fitted forms of one survey.",
        "Not shown: other wordings, other instruments, behaviour",
    ],
)
def test_what_is_said_of_limits(words, evaluate):
    assert words in statement("m", evaluate(), "vsm13-own")


def test_no_word_says_more_than_was_shown(evaluate):
    said = " ".join([statement("m", evaluate(), "vsm13-own"), NOT_CONCLUDED, MINI_STATEMENT]).lower()
    for word in ("culturally aligned", "authentic", "speaks like"):
        assert word not in said
    assert "proves little" in said
    assert "simulated respondent" in said


def test_item_losses_over_fewer_items():
    goal = ItemGoal(np.array([[0.5, 0.5], [np.nan, np.nan]]), np.array([80.0, 3.0]), np.array([[1.0, 2], [1, 2]]))
    assert item_losses_note(goal).startswith("Item losses, means over 1 of 2 items, those with answers enough: W1 ")
    assert "differ by W1 6.3, JS 0.5 on average;" in item_losses_note(goal)  # 2 / sqrt(pi) / sqrt(4 * 80)

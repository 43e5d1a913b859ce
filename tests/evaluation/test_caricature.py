"""The caricature index on cases whose truth is known, and by hand; lines about a country's people."""

from dataclasses import replace

import numpy as np
import pytest

from hofsteer import ScriptedRespondent, load_target
from hofsteer.evaluation.abilities import load_pairs, measure_generalising
from hofsteer.evaluation.caricature import Caricature, Index, caricature_index, measure_caricature, standardised
from hofsteer.evaluation.evidence import Question
from hofsteer.instruments import Administration
from hofsteer.report.verdict import caricature_note
from hofsteer.targets import complete_countries, load_constants
from hofsteer.world import load_cases, load_census

CASES = load_cases()


def measured(case, margin=0.1, n=10):
    respondent = case.respondent(load_census(), seed=1)
    survey = respondent.census.survey.instrument
    forms = [Administration(survey, wording=w, order=o) for w in (0, 1, 2) for o in ("listed", "reversed")]
    question = Question(
        target=case.target(),
        fitted=tuple(forms[:4]),
        held_out=tuple(forms[4:]),
        constants={"midpoint": load_constants("midpoint", survey.dimension_ids)},
        countries=complete_countries(),
        elsewhere={"ivs10": case.target("ivs10")},
        choices=None,
        persona=f"You live in {case.country.in_sentence}.",
        noise_floor=10.0,
    )
    prompts = respondent.soft_prompts_to(case.country.profiles[survey.id], forms[:4], range(n))
    return measure_caricature(respondent, prompts, question, margin)


@pytest.mark.parametrize("name", CASES)
def test_of_all_cases_the_caricatures_are_told_and_no_other(name):
    wanted = "caricature" if CASES[name].kind == "caricature" else "no caricature"
    assert measured(CASES[name]).word == wanted


def test_the_same_country_without_exaggeration_is_no_caricature():
    case = CASES["caricature-1"]
    honest = measured(replace(case, mode=replace(case.mode, exaggeration=1.0)))
    assert honest.word == "no caricature"
    assert honest.together.steered.mean() < 1.05 < 1.15 < measured(case).together.steered.mean()


def test_the_survey_that_was_fitted_is_shown_and_does_not_decide():
    found = measured(CASES["caricature-2"])
    survey, other = (found.by_instrument[name].steered for name in ("vsm13-own", "ivs10"))
    assert survey.mean() == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(found.together.steered, other)


def test_deviations_from_the_mean_of_other_countries_by_hand():
    world = np.stack([np.arange(10.0, 31.0, 2.0), np.arange(11.0) * 5], axis=1)  # means 20 and 25
    deviations = world.std(axis=0, ddof=1)
    target, double, sideways = np.array([30.0, 25.0]), np.array([40.0, 25.0]), np.array([30.0, 90.0])
    rows = standardised(np.stack([target, world.mean(axis=0), target, double, sideways]), world)
    np.testing.assert_allclose(rows[0], [10 / deviations[0], 0])
    found = caricature_index(rows)
    assert (found.naive, found.persona) == pytest.approx((0, 1))
    np.testing.assert_allclose(found.steered, [2, 1])  # what goes in another direction does not count


def test_where_it_cannot_be_told():
    world = np.stack([np.arange(11.0), np.arange(11.0)], axis=1)  # means 5, deviations 3.3
    assert caricature_index(standardised(np.array([[5.5, 5.5], [0, 0], [0, 0], [9, 9]]), world)) is None  # too near
    few = np.where(np.arange(11)[:, None] < 9, world, np.nan)
    assert standardised(np.ones((4, 2)), few).shape == (4, 0)  # nine others are no world
    gap = standardised(np.array([[9.0, np.nan], [1, 1]]), world)
    assert gap.shape == (2, 1)


@pytest.mark.parametrize(
    ("steered", "word"),
    [
        ([1.2, 1.21, 1.19], "caricature"),
        ([1.0, 1.01, 0.99], "no caricature"),
        ([0.9, 1.2, 1.5], "undecided"),
        ([1.5, 1.5], "undecided"),  # two seeds have no interval
    ],
)
def test_the_word_follows_from_bounds(steered, word):
    assert Caricature({}, Index(np.array(steered), 0.0, 1.0), margin=0.1).word == word


def test_the_sentence_has_the_word_in_brackets_where_no_verdict_is_given():
    found = Caricature({"ivs10": Index(np.full(3, 1.3), 0.1, 0.9)}, Index(np.full(3, 1.3), 0.1, 0.9), 0.1)
    assert caricature_note(found, given=True).endswith("Above 1.1 is a caricature: caricature.")
    assert caricature_note(found, given=False).endswith("(caricature).")
    assert "not told" in caricature_note(Caricature({}, None, 0.1), given=True)


class Talker(ScriptedRespondent):
    """Says of Japan alone that all are alike, behind a soft prompt of ones."""

    def preferences(self, questions, soft_prompts=None):
        prompts = np.zeros((1, 1, 1)) if soft_prompts is None else soft_prompts
        alike = [[0.9 if p.max() == 1 and "Japan" in q.user else 0.4 for q in questions] for p in prompts]
        return np.stack([1 - np.array(alike), np.array(alike)], axis=-1)


def test_lines_about_the_people_of_the_named_country(neutral_answers):
    prompts = np.stack([np.ones((1, 1)), np.zeros((1, 1)), np.ones((1, 1))])
    talker = Talker(neutral_answers)
    found = measure_generalising(talker, prompts, load_target("JPN"))
    assert (found.pairs, found.naive) == (12, pytest.approx(0.4))
    np.testing.assert_allclose(found.steered, [0.9, 0.4, 0.9])
    assert found.change.value == pytest.approx(1 / 3)
    np.testing.assert_allclose(measure_generalising(talker, prompts, load_target("CHN")).steered, 0.4)
    nurses = replace(load_target("JPN"), kind="group", persona="You are a nurse.")
    assert measure_generalising(talker, prompts, nurses) is None


def test_the_pairs_are_of_about_one_length_and_name_the_country():
    for user, (plain, generalising) in load_pairs("the United States"):
        assert "the United States" in user
        assert abs(len(plain.split()) - len(generalising.split())) <= 1
        assert not plain.startswith(generalising)
        assert not generalising.startswith(plain)
    assert "{country}" not in str(load_pairs("Japan"))

"""The rows that the steered model stands beside, each computed anew."""

from dataclasses import replace

import numpy as np
import pytest

from hofsteer.baselines import persona_texts, random_prompt, scores_in_words
from hofsteer.evaluation.evidence import Question, collect
from hofsteer.evaluation.reference_rows import measure_reference_rows
from hofsteer.instruments import Administration, load_instrument
from hofsteer.report.reference_rows import reference_notes, reference_rows
from hofsteer.targets import complete_countries, constants_for, countries_on, index_loss, load_constants, target_for
from hofsteer.world import load_cases, load_census

CASE = load_cases()["coupled-1"]
MODELS = ("naive", "persona", "persona-best", "scores-in-words", "icl", "random")
NO_MODEL = ("flat", "mean-country", "table", "nearest")


@pytest.fixture(scope="module")
def respondent():
    return CASE.respondent(load_census(), seed=1)


def asked_of(respondent, system=None):
    survey = respondent.census.survey.instrument
    forms = [Administration(survey, wording=w, order=o) for w in (0, 1, 2) for o in ("listed", "reversed")]
    return Question(
        target=CASE.target(),
        fitted=tuple(forms[:4]),
        held_out=tuple(replace(form, system=system) for form in forms[4:]),
        constants={"midpoint": load_constants("midpoint", survey.dimension_ids)},
        countries=complete_countries(),
        elsewhere={},
        choices=None,
        persona=f"You live in {CASE.country.in_sentence}.",
        noise_floor=10.0,
    )


@pytest.fixture(scope="module")
def measured(respondent):
    """An invented target, given through the question."""
    question = asked_of(respondent)
    survey = question.instrument
    prompts = respondent.soft_prompts_to(CASE.country.profiles[survey.id], question.fitted, range(3))
    evidence = collect(respondent, prompts, question)
    return question, prompts, evidence, measure_reference_rows(respondent, question, evidence, tokens=1)


def loss(respondent, question, forms, prompts=None, **changes):
    """Mean over soft prompts and forms."""
    answers = respondent.respond([replace(form, **changes) for form in forms], prompts).probabilities
    goal = question.target.vector(question.instrument.dimension_ids)
    return float(np.abs(question.instrument.score(answers) + 50 - goal).mean())


def test_all_rows_with_both_losses_and_skill(respondent, measured):
    question, prompts, _, found = measured
    rows = {row.name: row for row in found.rows}
    assert tuple(rows) == ("steered", *MODELS, *NO_MODEL)
    assert (dict(found.left_out), found.noise_floor) == ({}, 10.0)
    noise = random_prompt(respondent, 1, 0)
    wanted = {
        "steered": {"prompts": prompts},
        "naive": {},
        "persona": {"system": question.persona},
        "scores-in-words": {"system": scores_in_words(question.target)},
        "random": {"prompts": noise},
    }
    goal = question.target.vector(question.instrument.dimension_ids)
    others = np.stack([c.vector(question.instrument.dimension_ids) for c in complete_countries()])
    scale = np.abs(others.mean(axis=0) - goal).mean()
    for name, changes in wanted.items():
        fitted, held_out = (loss(respondent, question, f, **changes) for f in (question.fitted, question.held_out))
        assert (rows[name].fitted, rows[name].held_out) == pytest.approx((fitted, held_out))
        assert rows[name].skill == pytest.approx(1 - held_out / scale)
    alone = {
        "flat": np.abs(50 - goal).mean(),
        "mean-country": scale,
        "table": 0.0,
        "nearest": index_loss(others, goal).min(),
    }
    for name, fitted in alone.items():
        assert rows[name].fitted == pytest.approx(fitted, abs=1e-9)
        assert rows[name].skill == pytest.approx(1 - fitted / scale)
        assert rows[name].held_out is None


def test_the_best_persona_is_the_best_on_the_fitted_forms(respondent, measured):
    question, _, _, found = measured
    row = next(row for row in found.rows if row.name == "persona-best")
    losses = {text: loss(respondent, question, question.fitted, system=text) for text in persona_texts(question.target)}
    assert losses[row.note] == min(losses.values()) == pytest.approx(row.fitted)
    assert row.held_out == pytest.approx(loss(respondent, question, question.held_out, system=row.note))


def test_what_the_evidence_says_is_what_the_rows_say(measured):
    _, _, evidence, found = measured
    rows = {row.name: row for row in found.rows}
    assert rows["steered"].skill == pytest.approx(evidence.skill.mean())
    assert rows["naive"].held_out == pytest.approx(evidence.naive_losses.mean())
    assert rows["persona"].held_out == pytest.approx(evidence.persona_loss)


def test_held_out_forms_keep_their_system_texts_where_the_row_has_none(respondent):
    question = asked_of(respondent, system="You live in Japan.")
    noise = random_prompt(respondent, 1, 0)
    evidence = collect(respondent, noise, question)
    rows = {row.name: row for row in measure_reference_rows(respondent, question, evidence, tokens=1).rows}
    assert rows["random"].held_out == pytest.approx(loss(respondent, question, question.held_out, noise))
    assert rows["random"].held_out == pytest.approx(rows["steered"].held_out)
    plain = loss(respondent, question, question.held_out, noise, system=None)
    assert abs(rows["random"].held_out - plain) > 1


def test_rows_that_an_instrument_cannot_have_are_left_out_with_the_reason(respondent):
    ivs10 = load_instrument("ivs10")
    target = target_for("JPN", ivs10)
    question = replace(
        asked_of(respondent),
        target=target,
        fitted=(Administration(ivs10),),
        held_out=(Administration(ivs10, order="reversed"),),
        constants={"none": constants_for(ivs10)},
        countries=countries_on(ivs10.dimension_ids),
        persona="You live in Japan.",
    )
    evidence = collect(respondent, np.zeros((1, 1, respondent.width), dtype=np.float32), question)
    found = measure_reference_rows(respondent, question, evidence, tokens=1)
    assert [row.name for row in found.rows] == ["steered", "naive", "persona", "persona-best", "random", *NO_MODEL]
    assert found.rows[0].fitted == pytest.approx(found.rows[1].fitted)  # a soft prompt of zeros moves nothing here
    assert list(found.left_out) == ["scores-in-words", "icl"]
    first, second = reference_notes(found)
    assert first.startswith("No row scores-in-words: scores-in-words has words for PDI, IDV")
    assert "27,648,000" in second


def test_the_table_shows_the_steered_row_and_what_is_missing(measured):
    question, _, _, found = measured
    shown = reference_rows(found, question.target, 1)
    assert [strong for strong, _ in shown] == [True] + [False] * 10
    by_name = {cells[0]: cells for _, cells in shown}
    row = next(row for row in found.rows if row.name == "persona")
    assert by_name["persona"][1:4] == (f"{row.fitted:.1f}", f"{row.held_out:.1f}", f"{row.skill:.2f}")
    assert by_name["table"][1:4] == ("0.0", "-", "1.00")
    assert by_name["mean-country"][4] == "of the other countries"
    unknown = replace(found, rows=tuple(replace(row, skill=None) for row in found.rows))
    assert {cells[3] for _, cells in reference_rows(unknown, question.target, 1)} == {"-"}

import json
from dataclasses import replace

import numpy as np
import pytest

from hofsteer import ScriptedRespondent, SoftPrompt, load_target
from hofsteer.alignment.objective import Objective, forms
from hofsteer.config import EXPECTED
from hofsteer.errors import ModelError
from hofsteer.evaluation.sample import survey_sample
from hofsteer.evaluation.survey import survey
from hofsteer.instruments.sample import load_sample
from hofsteer.targets import constants_for

SAMPLE = load_sample()


@pytest.fixture
def weighted():
    """The grid with weights 1 to 24."""
    return replace(SAMPLE, cells=tuple(replace(cell, weight=float(n)) for n, cell in enumerate(SAMPLE.cells, start=1)))


@pytest.fixture
def objective(vsm13):
    """Every cell has its own answer distributions, behind a persona the same."""
    drawn = np.random.default_rng([5, 1]).dirichlet(np.ones(5), size=(25, 24))
    texts = {cell.text: answers for cell, answers in zip(SAMPLE.cells, drawn, strict=False)}
    texts |= {f"You live in Japan. {text}": answers for text, answers in texts.items()}
    respondent = ScriptedRespondent(drawn[24], texts, valid_mass=0.9)
    return Objective(respondent, forms(vsm13, (0,), ("listed",)), constants_for(vsm13), load_target("JPN"))


def test_means_and_spread_against_respondents_drawn_one_by_one(objective, weighted, vsm13):
    found = survey_sample(objective, weighted)
    answers = np.stack([objective.respondent.personas[cell.text] for cell in weighted.cells])
    # numpy's own weighted moments, over people: cell n has n of them, and each answers every option pro rata
    people = np.repeat(answers, np.arange(1, 25), axis=0)
    np.testing.assert_allclose(found.survey.evaluation.probabilities[0], people.mean(axis=0))
    scores = vsm13.score(people) + 50
    np.testing.assert_allclose(found.survey.evaluation.scores[0], scores.mean(axis=0))
    np.testing.assert_allclose(found.score_spread, scores.std(axis=0))
    means = people @ np.arange(1.0, 6.0)
    np.testing.assert_allclose(found.item_spread, means.std(axis=0))
    mixture = people.mean(axis=0)
    variance = mixture @ np.arange(1.0, 6.0) ** 2 - (mixture @ np.arange(1.0, 6.0)) ** 2
    np.testing.assert_allclose(found.answer_spread, np.sqrt(variance))
    goal = load_target("JPN").vector(vsm13.dimension_ids)
    assert found.survey.loss == pytest.approx(np.abs(scores.mean(axis=0) - goal).mean())


def test_a_sample_of_one_voice_has_no_spread(vsm13, neutral_answers):
    objective = Objective(
        ScriptedRespondent(neutral_answers), forms(vsm13, (0, 1), ("listed", "reversed")), constants_for(vsm13)
    )
    found = survey_sample(objective, SAMPLE)
    np.testing.assert_allclose(found.score_spread, 0, atol=1e-6)
    np.testing.assert_allclose(found.item_spread, 0, atol=1e-9)
    np.testing.assert_allclose(found.answer_spread, np.sqrt(2))  # of even answers from 1 to 5
    assert found.survey.to_json()["scores"] == pytest.approx(survey(objective).to_json()["scores"])


def test_persona_stands_before_the_cell(objective, weighted):
    plain, country = (survey_sample(o, weighted) for o in (objective, objective.with_system("You live in Japan.")))
    np.testing.assert_array_equal(plain.cell_scores, country.cell_scores)


def test_soft_prompt_is_used(objective, weighted):
    values = np.zeros((2, 24), dtype=np.float32)
    values[:, 6] = 50.0
    found = survey_sample(objective, weighted, SoftPrompt(values))
    np.testing.assert_allclose(found.cell_means[:, 6], np.full(24, 5.0))


def test_json(objective, weighted, vsm13):
    table = survey_sample(objective, weighted).to_json()
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    sample = table["sample"]
    assert (sample["id"], len(sample["cells"])) == ("grid-24", 24)
    assert sample["effective_cells"] == pytest.approx(300**2 / (np.arange(1, 25) ** 2).sum())
    assert sample["cells"][0]["age"] == "25"
    assert sample["cells"][0]["valid_mass"] == pytest.approx(0.9)
    assert list(sample["spread"]) == ["scores", "between_cells", "answers"]
    assert list(sample["spread"]["answers"]) == list(vsm13.item_ids)


def test_cell_without_usable_answers(objective, weighted):
    class Silent(ScriptedRespondent):
        def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
            self.valid_mass = 1e-12 if "65-year-old man" in administrations[0].system else 1.0
            return super().respond(administrations, soft_prompts, read_out)

    silent = replace(objective, respondent=Silent(objective.respondent.answers))
    with pytest.raises(ModelError, match=r"^scripted, as 'You are a 65-year-old man\. .*': the model gives no prob"):
        survey_sample(silent, weighted)

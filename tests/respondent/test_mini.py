"""What the bundled model promises on its card."""

import numpy as np
import pytest

from hofsteer import Administration, Respondent, align, load_target
from hofsteer.alignment.objective import Objective, forms
from hofsteer.baselines import persona_text
from hofsteer.respondent.mini import FOLDER, card
from hofsteer.targets import complete_countries, load_constants


@pytest.fixture(scope="module")
def mini():
    return Respondent.from_pretrained("mini")


@pytest.fixture(scope="module")
def objective(mini, vsm13):
    return Objective(mini, forms(vsm13, [0], ["listed"]), load_constants("midpoint", vsm13.dimension_ids))


def test_card_is_of_these_weights(mini):
    assert card()["weights_sha256"] == mini.fingerprint
    assert card()["parameters"] == sum(p.numel() for p in mini.model.parameters())
    assert 800_000 <= card()["parameters"] <= 1_200_000
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) <= 5_000_000


def test_no_country_name_is_a_single_token(mini):
    for target in complete_countries():
        for name in (target.name, f" {target.name}", target.in_sentence):
            assert len(mini.tokenizer(name, add_special_tokens=False)["input_ids"]) > 1, name


@pytest.mark.parametrize("code", ["SAU", "CHN", "IND"])
def test_alone_it_is_far_from_the_paper_s_countries(objective, code):
    target = load_target(code)
    naive = Objective(objective.respondent, objective.administrations, objective.constants, target).evaluate()
    assert naive.losses[0] > 15
    assert naive.losses[0] == pytest.approx(card()["naive_loss"][code], abs=0.06)  # the card's one decimal
    assert naive.valid_mass.min() > 0.98


@pytest.mark.parametrize(("wording", "order"), [(0, "listed"), (1, "listed"), (0, "reversed"), (1, "reversed")])
def test_personas_come_near_the_published_scores(mini, vsm13, wording, order):
    countries = complete_countries()[::8]
    form = Administration(vsm13, wording=wording, order=order)
    personas = [Administration(vsm13, wording, order, system=persona_text(country)) for country in countries]
    responses = mini.respond([form, *personas])
    scores = vsm13.score(responses.probabilities)[0] + 50
    truth = np.stack([country.vector(vsm13.dimension_ids) for country in countries])
    assert np.abs(scores[1:] - truth).mean() < 8
    assert np.abs(scores[0] - truth).mean() > 2 * np.abs(scores[1:] - truth).mean()
    assert responses.valid_mass.min() > 0.98


@pytest.mark.slow
def test_a_short_search_brings_it_near_saudi_arabia(mini, tmp_path):
    run = align(mini, "SAU", out=tmp_path / "run", settings={"search.budget": 600})
    rows = run.evaluation.rows
    assert rows["aligned"].loss < rows["naive"].loss / 2
    assert rows["aligned"].valid_mass > 0.9

"""What the bundled model promises on its card."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from hofsteer import Administration, Respondent, align, load_target
from hofsteer.alignment.objective import Objective, forms
from hofsteer.baselines import persona_text
from hofsteer.config import ReadOut
from hofsteer.instruments import load_instrument
from hofsteer.respondent.generate import generate
from hofsteer.respondent.mini import FOLDER, card
from hofsteer.targets import complete_countries, index_loss, load_constants
from hofsteer.world import load_census, load_invented


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_says_that_it_is_simulated_in_whatever_dtype(dtype, tmp_path):
    copied = Respondent.from_pretrained("mini", dtype=dtype)
    assert copied.simulated
    with torch.no_grad():
        copied.model.get_input_embeddings().weight[5, 5] += 1
    copied.model.save_pretrained(tmp_path)
    copied.tokenizer.save_pretrained(tmp_path)
    assert not Respondent.from_pretrained(str(tmp_path), dtype=dtype).simulated


@pytest.mark.parametrize("saved", ["bfloat16", "float16"])
def test_it_says_so_of_a_copy_that_was_saved_with_fewer_digits(saved, tmp_path):
    copied = Respondent.from_pretrained("mini", dtype=saved)
    copied.model.save_pretrained(tmp_path)
    copied.tokenizer.save_pretrained(tmp_path)
    assert Respondent.from_pretrained(str(tmp_path), dtype="float32").simulated


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


def mean_error(mini, vsm13, **form):
    """Mean distance of personas from the published scores, over every eighth country, and that without a persona."""
    countries = complete_countries()[::8]
    plain = Administration(vsm13, **form)
    personas = [replace(plain, system=persona_text(country)) for country in countries]
    responses = mini.respond([plain, *personas])
    assert responses.valid_mass.min() > 0.98
    scores = vsm13.score(responses.probabilities)[0] + 50
    truth = np.stack([country.vector(vsm13.dimension_ids) for country in countries])
    return np.abs(scores[1:] - truth).mean(), np.abs(scores[0] - truth).mean()


@pytest.mark.parametrize("labels", ["digits", "letters"])
@pytest.mark.parametrize(
    ("wording", "order"), [(0, "listed"), (1, "listed"), (2, "listed"), (0, "reversed"), (1, "reversed")]
)
def test_personas_come_near_the_published_scores(mini, vsm13, wording, order, labels):
    error, naive = mean_error(mini, vsm13, wording=wording, order=order, labels=labels)
    assert error < 6
    assert naive > 2 * error


def test_what_it_has_never_seen_is_answered_worse_and_not_at_random(mini, vsm13):
    unseen = card()["persona_index_error"]["unseen_by_mini"]
    for form in ({"wording": 3}, {"numbering": "falling"}):
        error, naive = mean_error(mini, vsm13, **form)
        assert error < 0.75 * naive
    assert min(unseen.values()) > min(card()["persona_index_error"]["trained"].values())


@pytest.mark.parametrize("name", ["ivs10", "vignettes"])
def test_other_instruments_follow_the_truth_that_is_no_function_of_the_survey(mini, name):
    census, instrument = load_census(), load_instrument(name)
    countries = census.countries[: census.n_real : 5]
    personas = [Administration(instrument, system=f"You live in {country.in_sentence}.") for country in countries]
    scores = instrument.score(mini.respond(personas).probabilities[0])
    truth = np.stack([country.profiles[name] for country in countries])
    for m in range(truth.shape[1]):
        assert spearmanr(scores[:, m], truth[:, m]).statistic > 0.8


def test_twins_differ_elsewhere_and_the_survey_only_country_is_like_nobody_there(mini):
    census = load_census().with_countries(load_invented("survey-only", "twins"))
    vignettes = load_instrument("vignettes")

    def scores(*codes):
        said = [census.country(code).in_sentence for code in codes]
        forms = [Administration(vignettes), *(Administration(vignettes, system=f"You live in {s}.") for s in said)]
        return vignettes.score(mini.respond(forms).probabilities[0])

    naive, one, other, survey_only = scores("TWINS-1A", "TWINS-1B", "SURVEY-ONLY-1")
    assert np.abs(one - other).mean() > 3 * np.abs(survey_only - naive).mean()


def test_no_single_vocabulary_row_comes_half_way(mini, vsm13, objective):
    rows = mini.embed(torch.arange(0, len(mini.tokenizer), 7)).numpy()[:, None, :]
    scores = vsm13.score(mini.respond([Administration(vsm13)], rows).probabilities)[:, 0] + 50
    for code in ("SAU", "CHN", "IND"):
        losses = index_loss(scores, load_target(code).vector(vsm13.dimension_ids))
        assert losses.min() > card()["naive_loss"][code] / 2
        assert losses.min() >= card()["best_single_vocabulary_row_loss"][code] - 0.06


def test_facts_are_there_to_be_lost(mini):
    asked = {
        "What is the capital of Japan?": "Tokyo",
        "What is 3 plus 4?": "7",
        "What is the opposite of hot?": "Cold.",
    }
    for question, answer in asked.items():
        chat = [{"role": "user", "content": question}]
        text = mini.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        start = tuple(mini.tokenizer(text, add_special_tokens=False)["input_ids"])
        cold = ReadOut(kind="generated", temperature=0.01, max_new_tokens=10)
        assert generate(mini, torch.zeros(1, 0, mini.width), start, np.full((1, 10), 0.5), cold) == [[answer]]


@pytest.mark.slow
def test_a_short_search_brings_it_near_saudi_arabia(mini, tmp_path):
    run = align(
        mini, "SAU", out=tmp_path / "run", settings={"search.budget": 600, "wordings": [0], "orders": ["listed"]}
    )
    rows = run.evaluation.rows
    assert rows["aligned"].loss < rows["naive"].loss / 2
    assert rows["aligned"].valid_mass > 0.9

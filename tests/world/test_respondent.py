from dataclasses import replace

import numpy as np
import pytest

from hofsteer.alignment.objective import Objective, forms
from hofsteer.alignment.space import FullSpace
from hofsteer.errors import SoftPromptError
from hofsteer.instruments import Administration, load_instrument
from hofsteer.search import DifferentialEvolution
from hofsteer.targets import complete_countries, index_loss, load_constants, load_target
from hofsteer.world import BIAS_LEFT, Mode, WorldRespondent, load_cases, load_census

VSM13 = load_instrument("vsm13-own")
CASES = load_cases()
FORM = Administration(VSM13)


@pytest.fixture(scope="module")
def census():
    return load_census()


@pytest.fixture(scope="module")
def respondent(census):
    return WorldRespondent(census)


def prompts(respondent, count=12, tokens=8, seed=1):
    rng = np.random.default_rng([seed, 3])
    return rng.normal(size=(count, tokens, respondent.width)).astype(np.float32)


def scores(respondent, form=FORM, soft_prompts=None):
    return form.instrument.score(respondent.respond([form], soft_prompts).probabilities)[:, 0] + (
        50 if form.instrument.constants == "chosen" else 0
    )


def search(respondent, target, budget, fitted=(0,), seed=0):
    """Differential Evolution as `hofsteer align` runs it; return the best soft prompt (1, L, W) and its loss."""
    constants = load_constants("midpoint", VSM13.dimension_ids)
    objective = Objective(respondent, forms(VSM13, fitted, ("listed",)), constants, target)
    space = FullSpace(8, respondent.width, respondent.spread)
    optimizer = DifferentialEvolution(population_size=20, strategy="best/1", seed=seed)
    state = optimizer.init(space.noise(20, 1.0, seed), blocks=space.blocks)
    while (state.generation + 1) * 20 <= budget:
        candidates = optimizer.ask(state)
        state = optimizer.tell(state, candidates, objective.evaluate(space.decode(candidates)).losses)
    return space.decode(state.best[None]), state.best_loss


def test_without_a_soft_prompt_it_answers_like_the_mixture(respondent, census):
    for name in census.worlds:
        form = Administration(census.worlds[name].instrument)
        np.testing.assert_allclose(scores(respondent, form)[0], census.naive_scores(name), rtol=0, atol=1e-6)


def test_personas_are_recognised_by_name_in_any_text(respondent, census):
    row = census.codes.index("KOR")
    wanted = (1 - BIAS_LEFT) * census.survey.profiles[row] + BIAS_LEFT * census.naive_scores("vsm13-own")
    target = load_target("KOR")
    for text in ("You live in {}.", "Country: {}", "Answer as someone whose home is {}, please"):
        found = scores(respondent, replace(FORM, system=text.format(target.in_sentence)))[0]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    for text in ("You are helpful.", "You live in Nowhereland.", "", "I like Chadian music"):
        np.testing.assert_array_equal(scores(respondent, replace(FORM, system=text)), scores(respondent))


def test_every_country_is_known_by_its_own_name(respondent, census):
    for target in complete_countries():
        profile = scores(respondent, replace(FORM, system=f"You live in {target.in_sentence}."))[0]
        wanted = census.country(target.code).profiles["vsm13-own"]
        assert (
            np.abs(profile - wanted).mean()
            <= BIAS_LEFT * np.abs(census.naive_scores("vsm13-own") - wanted).mean() + 1e-6
        )


def test_personas_can_be_switched_off(census):
    deaf = WorldRespondent(census, Mode(personas=False))
    np.testing.assert_array_equal(scores(deaf, replace(FORM, system="You live in Japan.")), scores(deaf))


def test_a_soft_prompt_moves_a_persona_too(respondent):
    form = replace(FORM, system="You live in Japan.")
    moved = scores(respondent, form, prompts(respondent))
    assert np.abs(moved - scores(respondent, form)).mean() > 5
    assert np.abs(moved - scores(respondent, FORM, prompts(respondent))).mean() > 2


def test_scores_are_those_of_the_profile_that_it_says(respondent):
    some = prompts(respondent)
    for order in ("listed", "reversed"):
        form = replace(FORM, order=order, wording=1)
        np.testing.assert_allclose(scores(respondent, form, some), respondent.profiles(some, form), rtol=0, atol=1e-6)


def test_displacement_is_smooth_and_ends_within_reach(respondent):
    way = prompts(respondent, 1)
    steps = np.linspace(0, 50, 400, dtype=np.float32)[:, None, None]
    profiles = respondent.profiles(steps * way)
    assert (profiles > -10).all()
    assert (profiles < 110).all()
    assert np.abs(np.diff(profiles, axis=0)).max() < 25
    tiny = respondent.profiles(np.concatenate([way * 1e-3, way * 2e-3])) - respondent.profiles()
    np.testing.assert_allclose(tiny[1], 2 * tiny[0], rtol=0.02)


def test_huge_soft_prompts_are_answered(respondent):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        responses = respondent.respond([FORM], 1e6 * prompts(respondent))
    assert responses.failures == (None,) * 12


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_broken_soft_prompt_is_a_recorded_failure(respondent, bad):
    some = prompts(respondent, 3)
    some[1, 2, 4] = bad
    responses = respondent.respond([FORM], some)
    assert responses.failures[1] == "the model gave NaN or infinite logits"
    assert responses.failures[0] is responses.failures[2] is None


def test_wrong_shapes_are_refused(respondent):
    for shape in ((2, 3, 15), (2, 16)):
        with pytest.raises(SoftPromptError, match="want soft prompts"):
            respondent.respond([FORM], np.zeros(shape, dtype=np.float32))


def test_another_scoring_and_optional_items_get_the_same_answers(respondent):
    some, whole = prompts(respondent, 3), replace(FORM, instrument=VSM13.with_optional())
    own = respondent.respond([FORM], some).probabilities
    cat = replace(FORM, instrument=load_instrument("vsm13-cat"))
    longer = respondent.respond([whole], some).probabilities
    np.testing.assert_allclose(longer[:, :, :24, : own.shape[-1]], own, rtol=0, atol=1e-9)
    assert np.isfinite(longer).all()
    # another file sees a soft prompt a little differently, as another wording would
    np.testing.assert_allclose(respondent.respond([cat]).probabilities, respondent.respond([FORM]).probabilities)


def test_another_seed_is_another_map(respondent, census):
    same, other = WorldRespondent(census), WorldRespondent(census, seed=1)
    some = prompts(respondent, 3)
    np.testing.assert_array_equal(scores(same, FORM, some), scores(respondent, FORM, some))
    assert np.abs(scores(other, FORM, some) - scores(respondent, FORM, some)).mean() > 5
    assert respondent.identity() == same.identity() != other.identity()


@pytest.mark.parametrize("code", ["SAU", "CHN", "IND", "JPN"])
def test_soft_prompts_to_a_profile_reach_it_exactly_on_the_fitted_form(respondent, code):
    goal = load_target(code).vector(VSM13.dimension_ids)
    found = respondent.soft_prompts_to(goal, [FORM], range(3))
    np.testing.assert_allclose(scores(respondent, FORM, found), np.tile(goal, (3, 1)), atol=0.01)
    assert np.abs(found[0] - found[1]).max() > 0.1
    held_out = scores(respondent, replace(FORM, wording=1), found)
    assert 0.3 < index_loss(held_out, goal).mean() < 6


def test_search_finds_a_coupled_country_and_it_carries_over(census):
    case = CASES["coupled-1"]
    respondent = case.respondent(census)
    best, loss = search(respondent, case.target(), 800)
    naive = index_loss(scores(respondent)[0], case.country.profiles["vsm13-own"])
    assert loss < 2 < 15 < naive
    held_out = scores(respondent, replace(FORM, wording=2, order="reversed"), best)
    assert index_loss(held_out, case.country.profiles["vsm13-own"])[0] < 6
    form, goal = Administration(load_instrument("ivs10")), case.country.profiles["ivs10"]
    before, after = (np.linalg.norm(scores(respondent, form, p)[0] - goal) for p in (None, best))
    assert after < 0.5 * before


def test_search_fits_a_wording_and_nothing_else(census):
    case = CASES["wording-bound-1"]
    respondent, goal = case.respondent(census), case.country.profiles["vsm13-own"]
    best, loss = search(respondent, case.target(), 800)
    assert loss < 4
    held_out = replace(FORM, wording=1)
    np.testing.assert_allclose(scores(respondent, held_out, best), scores(respondent, held_out), atol=1e-9)
    assert index_loss(scores(respondent, held_out, best), goal)[0] > 15


def test_search_fits_the_survey_and_the_map_does_not_move(census):
    case = CASES["survey-only-1"]
    respondent, goal = case.respondent(census), case.country.profiles["ivs10"]
    best, loss = search(respondent, case.target(), 800)
    assert loss < 4
    form = Administration(load_instrument("ivs10"))
    before, after = (np.linalg.norm(scores(respondent, form, p)[0] - goal) for p in (None, best))
    assert after > 0.95 * before


def test_abilities_are_lost_with_the_size_of_the_displacement(census):
    whole, hurt = WorldRespondent(census), WorldRespondent(census, Mode(damage=0.25))
    way = np.linspace(0, 3, 7, dtype=np.float32)[:, None, None] * prompts(whole, 1)
    facts = hurt.facts_right(way)
    assert (np.diff(facts) < 0).all()
    assert facts[0] == hurt.facts_right()[0] > 0.95
    assert facts[-1] < 0.85
    np.testing.assert_allclose(whole.facts_right(way), facts[0], atol=1e-12)
    assert (np.diff(hurt.abilities(way).kl) > 0).all()
    assert whole.abilities(way).kl.max() < 0.05
    assert (np.diff(hurt.abilities(way).harm_refused) < 0).all()


def test_refusing_takes_mass_and_leaves_the_rest(census):
    refusing, plain = WorldRespondent(census, Mode(refusal=0.5)), WorldRespondent(census)
    some = prompts(plain)
    one, other = refusing.respond([FORM], some), plain.respond([FORM], some)
    np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=0, atol=1e-12)
    assert (one.valid_mass < other.valid_mass - 0.05).all()
    assert other.valid_mass == pytest.approx(0.99)


def test_narrowing_leaves_the_scores(census):
    narrow, plain = WorldRespondent(census, Mode(narrowing=0.9)), WorldRespondent(census)
    some = prompts(plain)
    np.testing.assert_allclose(scores(narrow, FORM, some), scores(plain, FORM, some), rtol=0, atol=1e-6)

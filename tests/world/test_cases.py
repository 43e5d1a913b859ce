"""Each case of truth.json has the property it states, found anew in the world and by hand where that is possible."""

import json
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from hofsteer.errors import TargetError
from hofsteer.instruments import Administration, load_instrument
from hofsteer.targets import index_loss
from hofsteer.world import CLAIMS, KINDS, examine, invent, load_cases, load_census, load_invented
from hofsteer.world.cases import VERSION, cases_table, read_cases
from hofsteer.world.findings import fitted_and_held_out
from hofsteer.world.invent import EXPECTED

SURVEY = "vsm13-own"
CASES = load_cases()
TABLE = json.loads((files("hofsteer.world") / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def real():
    return load_census()


def of(kind):
    return [case for case in CASES.values() if case.kind == kind]


def steered(case, real, instrument=SURVEY, seeds=range(16), **form):
    """Scores of soft prompts that reach the target on the fitted form, and those without: (P, M), (M,)."""
    respondent = case.respondent(real)
    fitted, _ = fitted_and_held_out(load_instrument(SURVEY))
    prompts = respondent.soft_prompts_to(case.country.profiles[SURVEY], [fitted], seeds)
    world = real.worlds[instrument]
    asked = [Administration(world.instrument, **form)]
    scores = [world.instrument.score(respondent.respond(asked, p).probabilities)[:, 0] for p in (prompts, None)]
    return scores[0] + world.constants, scores[1][0] + world.constants


def gain(case, real, instrument, **form):
    after, before = steered(case, real, instrument, **form)
    goal = case.country.profiles[instrument]
    return 1 - np.linalg.norm(after - goal, axis=1) / np.linalg.norm(before - goal)


def test_every_kind_is_there():
    assert {case.kind for case in CASES.values()} == set(KINDS) == set(EXPECTED)
    assert all(len(of(kind)) >= 2 for kind in KINDS)
    assert (TABLE["schema"], TABLE["version"]) == (1, VERSION)


def test_the_file_is_read_and_written_alike():
    assert cases_table(CASES, TABLE["seed"]) == TABLE
    with pytest.raises(TargetError, match=r"^want cases of schema 1, got 2$"):
        read_cases({**TABLE, "schema": 2})


@pytest.mark.parametrize("name", CASES)
def test_the_world_finds_what_the_file_says(name, real):
    found = examine(CASES[name], real)
    assert found.gates == CASES[name].gates
    assert found.alone == dict(CASES[name].alone)


@pytest.mark.parametrize("name", CASES)
def test_other_maps_of_the_respondent_change_nothing(name, real):
    """The property is the case's, not one of the random map."""
    found = examine(CASES[name], real, seeds=range(20, 36), map_seed=7)
    assert replace(CASES[name], gates=found.gates, alone=found.alone).verdict == CASES[name].verdict


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_follows_by_rule(name):
    case = CASES[name]
    words = [case.verdict[claim] for claim in CLAIMS]
    assert tuple(case.verdict) == CLAIMS
    supported = words.count("supported")
    assert words == ["supported"] * supported + ["refuted"] * (5 - supported)
    wanted = {"coupled": 5, "damage": 4, "caricature": 4, "self-report": 3, "drift": 2}
    wanted |= dict.fromkeys(("survey-only", "twins", "phantom", "shuffled"), 1)
    assert supported == wanted.get(case.kind, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_more_of_a_kind_are_invented_alike(kind, real):
    case = invent(kind, 11, real)
    assert case.verdict == of(kind)[0].verdict
    again = invent(kind, 11, real)
    assert cases_table({"x": again}, 0) == cases_table({"x": case}, 0)
    assert invent(kind, 12, real).country.name != case.country.name


def test_the_named_cases_are_those_of_the_generator(real):
    for name in ("coupled-1", "twins-2", "style-2", "shuffled-3"):
        kind, _, seed = name.rpartition("-")
        made = cases_table({name: invent(kind, int(seed), real)}, 0)
        kept = cases_table({name: CASES[name]}, 0)
        assert [entry["name"] for entry in made["countries"]] == [entry["name"] for entry in kept["countries"]]
        for one, other in zip(made["countries"], kept["countries"], strict=True):
            for instrument, scores in one["profiles"].items():  # other machines may round another way
                np.testing.assert_allclose(
                    list(scores.values()), list(other["profiles"][instrument].values()), rtol=0, atol=1.01
                )


def test_coupled_moves_everywhere(real):
    for case in of("coupled"):
        assert gain(case, real, "ivs10").mean() > 0.3
        assert gain(case, real, "vignettes").mean() > 0.3


def test_survey_only_and_wording_bound_stay_where_they_are_elsewhere(real):
    for case in of("survey-only") + of("wording-bound"):
        for instrument in ("ivs10", "vignettes"):
            assert gain(case, real, instrument).mean() < 0.03
    for case in of("survey-only"):
        after, before = steered(case, real, wording=1, order="reversed")
        goal = case.country.profiles[SURVEY]
        assert index_loss(after, goal).max() < 6 < 14 < index_loss(before, goal)


def test_wording_bound_moves_in_the_fitted_wording_alone(real):
    for case in of("wording-bound"):
        goal = case.country.profiles[SURVEY]
        for order in ("listed", "reversed"):
            assert index_loss(steered(case, real, wording=0, order=order)[0], goal).max() < 6
            for wording in (1, 2, 3):
                after, before = steered(case, real, wording=wording, order=order)
                np.testing.assert_allclose(after, before[None].repeat(16, axis=0), atol=1e-9)


def test_twins_answer_the_survey_alike_and_differ_elsewhere(real):
    for case in of("twins"):
        one, other = case.countries
        np.testing.assert_array_equal(one.profiles[SURVEY], other.profiles[SURVEY])
        for instrument in ("ivs10", "vignettes"):
            spread = real.worlds[instrument].profiles.std(axis=0)
            assert (np.abs(one.profiles[instrument] - other.profiles[instrument]) / spread).mean() > 1.5
            turned = replace(case, countries=(other, one))
            assert gain(case, real, instrument).mean() < 0.03
            assert gain(turned, real, instrument).mean() < 0.03
        assert examine(replace(case, countries=(other, one)), real).alone == case.alone


def test_nobody_has_a_phantoms_profile(real):
    for case in of("phantom"):
        assert index_loss(real.worlds[SURVEY].profiles, case.country.profiles[SURVEY]).min() > 15
        assert case.country.known == "nothing"
        respondent = case.respondent(real)
        form = Administration(load_instrument(SURVEY))
        named = replace(form, system=f"You live in {case.country.in_sentence}.")
        answers = respondent.respond([form, named]).probabilities[0]
        np.testing.assert_array_equal(answers[0], answers[1])


def test_shuffled_profiles_are_a_real_countrys_in_another_order(real):
    sorted_rows = {tuple(sorted(row)): row for row in real.worlds[SURVEY].profiles.tolist()}
    for case in of("shuffled"):
        profile = case.country.profiles[SURVEY].tolist()
        assert tuple(sorted(profile)) in sorted_rows
        assert sorted_rows[tuple(sorted(profile))] != profile


def test_style_shows_on_items_without_content(real):
    channels = {case.mode.channel for case in of("style")}
    assert channels == {"position", "extremity"}
    for case in of("style"):
        found = examine(case, real)
        assert found.style_drift > 0.4
        assert max(found.gains) < 0.05
        after = index_loss(steered(case, real)[0], case.country.profiles[SURVEY])
        assert after.max() < 2  # the fitted form is fooled
        if case.mode.channel == "position":
            turned, before = steered(case, real, order="reversed")
            assert index_loss(turned, case.country.profiles[SURVEY]).min() > index_loss(
                before, case.country.profiles[SURVEY]
            )
    for case in of("coupled"):
        assert examine(case, real).style_drift < 1e-9


def test_costs_grow_with_the_displacement(real):
    for kind, cost in (("damage", "facts"), ("refusing", "mass"), ("caricature", "variance"), ("coupled", None)):
        for case in of(kind):
            found = examine(case, real)
            assert (found.facts_lost > 0.05) == (cost == "facts")
            assert (found.valid_mass < 0.85) == (cost == "mass")
            assert (found.variance_kept < 0.45) == (cost == "variance")


def test_drift_goes_to_one_place_whatever_the_target(real):
    for case in of("drift"):
        found = examine(case, real)
        assert found.gains[0] > 0.3
        assert np.quantile(found.control_gains, 0.5) > 0.3


def test_self_report_moves_the_map_but_no_choice(real):
    for case in of("self-report"):
        assert gain(case, real, "ivs10").mean() > 0.3
        assert gain(case, real, "vignettes").mean() < 0.06


def test_no_room_is_where_the_naive_respondent_stands(real):
    for case in of("no-room"):
        assert index_loss(real.naive_scores(SURVEY), case.country.profiles[SURVEY]) < 7


def test_targets_of_a_case():
    case = of("coupled")[0]
    target, on_map = case.target(), case.target("ivs10")
    np.testing.assert_array_equal(
        target.vector(("PDI", "IDV", "MAS", "UAI", "LTO", "IVR")), case.country.profiles[SURVEY]
    )
    assert (target.name, target.missing, on_map.dimensions) == (case.country.name, (), ("SSE", "TSR"))
    with pytest.raises(TargetError, match="has no scores on style12"):
        case.target("style12")


def test_countries_for_training_are_chosen_by_kind():
    codes = [country.code for country in load_invented("twins", "coupled")]
    assert len(codes) == len(set(codes)) == 8
    assert len(load_invented()) == len(TABLE["countries"])

"""GLOBE's value scales: people's scores, and items of our own that nobody has validated."""

import numpy as np
import pytest

from hofsteer import align, load_instrument
from hofsteer.errors import TargetError
from hofsteer.instruments import Administration
from hofsteer.targets import all_societies, coverage, load_society, mean_country, nearest, target_for
from hofsteer.targets.globe import SCALES
from hofsteer.world import WorldRespondent, load_census, make_world

GLOBE = load_instrument("globe")


def test_published_means():
    """Figures of the table, by hand; House et al. 2004 print Japan's desired power distance as 2.86."""
    assert load_society("JPN").vector(["PD-should", "AS-should"]) == pytest.approx([2.86, 5.56])
    assert load_society("united states").scores["PO-should"] == 6.14
    assert len(all_societies()) == 61
    for society in all_societies():
        assert all(1 < score < 7 for score in society.scores.values())
        assert tuple(society.scores) == SCALES == GLOBE.dimension_ids


def test_parts_are_not_taken_for_the_whole():
    assert load_society("DEU-WEST").kind == "region"
    assert load_society("GBR").name == "England"
    for country, parts in (("Germany", "DEU-EAST, DEU-WEST"), ("ZAF", "ZAF-BLACK, ZAF-WHITE"), ("CAN", "CAN-ENGLISH")):
        with pytest.raises(TargetError, match=f"but of its parts: {parts}"):
            load_society(country)
    with pytest.raises(TargetError, match="Saudi Arabia is not testable on the GLOBE scales"):
        load_society("Saudi Arabia")
    with pytest.raises(TargetError, match="did you mean 'Japan'"):
        load_society("Japann")
    with pytest.raises(TargetError, match="not testable"):
        load_society("CZE")


def test_a_score_is_the_mean_of_an_item_and_a_reversed_one():
    means = np.tile([6.0, 3.0], 9)
    assert GLOBE.score_means(means) == pytest.approx(np.full(9, (6 + (8 - 3)) / 2))
    assert GLOBE.score_means(GLOBE.neutral_means) == pytest.approx(np.full(9, 4.0))


def test_uniform_bias_does_nothing():
    """One item for each direction: agreeing a step more with everything moves no score."""
    assert GLOBE.score_means(np.full(18, 5.0)) == pytest.approx(np.full(9, 4.0))


def test_targets_and_coverage():
    assert target_for("JPN", GLOBE).code == "JPN@globe-2004"
    lines = {line.code: dict(line.dimensions) for line in coverage()}
    assert lines["JPN"]["globe"] == SCALES
    assert lines["SAU"]["globe"] == ()
    others = [s for s in all_societies() if s.code != "JPN@globe-2004"]
    wanted = np.mean([s.vector(SCALES) for s in others], axis=0)
    assert mean_country(SCALES, leaving_out=load_society("JPN")) == pytest.approx(wanted)
    east = load_society("DEU-EAST")
    distances = {s.code: np.abs(s.vector(SCALES) - east.vector(SCALES)).mean() for s in all_societies() if s != east}
    assert nearest(east, SCALES)[0].code == min(distances, key=distances.get)


def test_the_wording_is_unvalidated_and_every_run_says_so(tmp_path):
    assert not GLOBE.validated
    respondent = WorldRespondent(load_census(), seed=1)
    settings = {"instrument": "globe", "search.budget": 16, "search.population_size": 4, "space.tokens": 2}
    run = align(respondent, "JPN", out=tmp_path / "run", settings=settings)
    assert "The wording of globe is unvalidated" in " ".join(run.evaluation.notes)
    assert "The wording of globe is unvalidated" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert run.evaluation.target.code == "JPN@globe-2004"


def test_the_world_takes_the_instrument():
    profiles = {code: load_society(code).vector(SCALES) for code in ("JPN", "USA", "SWE")}
    world = make_world(GLOBE, profiles, seed=1)
    for code, profile in profiles.items():
        assert GLOBE.score(world.answers(code)) == pytest.approx(profile, abs=1e-9)


def test_wordings_differ_in_more_than_a_word():
    for item in GLOBE.items:
        one, two = (set(wording.lower().split()) for wording in item.wordings)
        assert len(one & two) / len(one | two) < 0.5, item.id
        for form in (Administration(GLOBE, wording=w) for w in (0, 1)):
            assert (
                "should" in form.messages(item)[-1].content
                or "ought" in form.messages(item)[-1].content
                or item.id
                in (
                    "G1",
                    "G2",
                    "G4",
                )
            )

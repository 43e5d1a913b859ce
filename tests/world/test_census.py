from dataclasses import replace

import numpy as np
import pytest

from hofsteer.errors import InstrumentError, TargetError
from hofsteer.instruments import Administration, load_instrument
from hofsteer.targets import COORDINATES, all_targets, complete_countries, load_coordinates
from hofsteer.world import Style, load_census, load_invented
from hofsteer.world.census import Country
from hofsteer.world.names import invented_name, resembles_real

SURVEY = "vsm13-own"


@pytest.fixture(scope="module")
def census():
    return load_census()


@pytest.fixture(scope="module")
def everybody(census):
    return census.with_countries(load_invented())


def form(name, **settings):
    return Administration(load_instrument(name), **settings)


def invented(code="X-1", **settings):
    profiles = {
        SURVEY: np.array([30.0, 60, 70, 20, 80, 45]),
        "ivs10": np.array([0.2, 1.1]),
        "vignettes": np.full(6, 33.0),
    }
    return Country(code, "Nowhere", "Nowhere", profiles, **settings)


def test_scores_of_true_means_are_the_profiles(everybody):
    for name, world in everybody.worlds.items():
        assert world.codes == everybody.codes
        constant = 50.0 if name == SURVEY else 0.0
        scores = world.instrument.score_means(world.item_means) + constant
        np.testing.assert_allclose(scores, world.profiles, rtol=0, atol=1e-9)
        for row, country in enumerate(everybody.countries):
            np.testing.assert_array_equal(world.profiles[row], country.profiles[name])


def test_residuals_do_not_move_a_score(everybody):
    for world in everybody.worlds.values():
        np.testing.assert_allclose(
            world.instrument.score_means(world.residuals) - world.instrument.intercepts, 0, atol=1e-9
        )
        assert ((np.abs(world.residuals / world.items.unit).mean(axis=1)) > 0.02).mean() > 0.97


def test_item_means_lie_within_the_scales(everybody):
    assert not any(world.items.off_scale(world.item_means).any() for world in everybody.worlds.values())


def test_real_countries_stand_where_people_put_them(census):
    assert census.codes == tuple(target.code for target in complete_countries())
    survey = census.worlds[SURVEY].instrument
    for target in complete_countries():
        country = census.country(target.code)
        np.testing.assert_array_equal(country.profiles[SURVEY], target.vector(survey.dimension_ids))
        assert "vignettes" in country.untested
        if "ivs10" in country.untested:
            with pytest.raises(TargetError, match=r"not testable|coordinates"):
                load_coordinates(target.code)
        else:
            np.testing.assert_array_equal(country.profiles["ivs10"], load_coordinates(target.code).vector(COORDINATES))
    assert {"SAU"} < {country.code for country in census.countries if "ivs10" in country.untested}
    assert sum("ivs10" not in country.untested for country in census.countries) > 60


def test_vignettes_correlate_with_the_survey_and_are_no_function_of_it(census):
    survey, vignettes = census.worlds[SURVEY].profiles, census.worlds["vignettes"].profiles
    for m in range(6):
        assert 0.55 < np.corrcoef(survey[:, m], vignettes[:, m])[0, 1] < 0.85
    design = np.column_stack([np.ones(len(survey)), survey])
    left = vignettes - design @ np.linalg.lstsq(design, vignettes, rcond=None)[0]
    assert (left.var(axis=0) / vignettes.var(axis=0) > 0.25).all()


def test_the_map_is_no_function_of_the_survey(census):
    tested = ["ivs10" not in country.untested for country in census.countries]
    survey, points = census.worlds[SURVEY].profiles[tested], census.worlds["ivs10"].profiles[tested]
    design = np.column_stack([np.ones(len(survey)), survey])
    left = points - design @ np.linalg.lstsq(design, points, rcond=None)[0]
    assert (left.var(axis=0) / points.var(axis=0) > 0.15).all()


def test_naive_respondents_lean_to_the_united_states(census):
    distance = np.abs(census.worlds[SURVEY].profiles - census.naive_scores(SURVEY)).mean(axis=1)
    assert distance[census.codes.index("USA")] < 8
    assert np.median(distance) > 20
    for name, world in census.worlds.items():
        scores = world.instrument.score(census.naive(form(name))) + world.constants
        np.testing.assert_allclose(scores, census.naive_scores(name), rtol=0, atol=1e-9)


def test_answers_have_the_true_scores_in_every_wording_and_order(census):
    for name, world in census.worlds.items():
        for settings in ({}, {"wording": 1}, {"order": "reversed"}):
            scores = world.instrument.score(census.answers("BRA", form(name, **settings))) + world.constants
            np.testing.assert_allclose(scores, census.country("BRA").profiles[name], rtol=0, atol=1e-9)


def test_a_wording_bound_country_is_known_in_its_wordings_alone(census):
    bound = census.with_countries([invented(wordings=(1,))])
    for order in ("listed", "reversed"):
        known, other = form(SURVEY, wording=1, order=order), form(SURVEY, wording=0, order=order)
        assert np.abs(bound.answers("X-1", known) - bound.naive(known)).max() > 0.1
        np.testing.assert_array_equal(bound.answers("X-1", other), bound.naive(other))


def test_only_wording_bound_countries_depend_on_the_wording(everybody):
    for country in everybody.countries:
        one, other = (everybody.answers(country.code, form(SURVEY, wording=w)) for w in (0, 1))
        assert (np.abs(one - other).max() > 0.05) == (country.wordings is not None)


def test_who_is_known_from_the_survey_says_elsewhere_what_everybody_says(census):
    partly = census.with_countries([invented(known="survey"), invented("X-2", known="nothing")])
    assert np.abs(partly.answers("X-1", form(SURVEY)) - partly.naive(form(SURVEY))).max() > 0.1
    np.testing.assert_array_equal(partly.answers("X-1", form("ivs10")), partly.naive(form("ivs10")))
    np.testing.assert_array_equal(partly.answers("X-2", form(SURVEY)), partly.naive(form(SURVEY)))


@pytest.mark.parametrize("style", [Style(directional=0.4), Style(extreme=0.5), Style(position=0.4)])
def test_style_moves_answers_whatever_is_asked(census, style):
    plain, styled = census.with_countries([invented()]), census.with_countries([invented(style=style)])
    world = plain.worlds[SURVEY]
    shift = {}
    for order in ("listed", "reversed"):
        asked = form(SURVEY, order=order)
        means = [world.instrument.item_means(c.answers("X-1", asked)) for c in (plain, styled)]
        inside = means[1] < world.items.highest - 1e-6
        shift[order] = (means[1] - means[0])[inside]
    if style.directional:
        np.testing.assert_allclose(shift["listed"], 0.4, atol=1e-9)
        np.testing.assert_allclose(shift["reversed"], 0.4, atol=1e-9)
    elif style.position:  # towards what is shown last
        np.testing.assert_allclose(shift["listed"], 0.4, atol=1e-9)
        np.testing.assert_allclose(shift["reversed"], -0.4, atol=1e-9)
    else:
        means = world.item_means[-1]
        moved = world.instrument.item_means(styled.answers("X-1", form(SURVEY)))
        assert (np.abs(moved - 3) >= np.abs(means - 3) - 1e-9).all()


def test_an_invented_country_is_the_same_in_any_company(census):
    alone = census.with_countries([invented()])
    company = census.with_countries([invented("X-2"), invented()])
    assert company.with_countries([invented()]).codes == company.codes
    one, other = (world.answers("X-1", form("ivs10")) for world in (alone, company))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    same = company.worlds["ivs10"].item_means  # one profile, two residuals
    assert np.abs(same[-1] - same[-2]).max() > 0.05


def test_other_scorings_and_optional_items_are_known(census):
    survey = load_instrument(SURVEY)
    assert census.known_instrument(load_instrument("vsm13-cat")) == SURVEY
    assert census.known_instrument(load_instrument("style12")) is None
    whole = survey.with_optional()
    assert census.known_instrument(whole) == SURVEY
    more, own = census.items(whole), census.items(survey)
    n = len(survey.items)
    for name in ("noise", "intercepts", "lowest", "tilt"):
        np.testing.assert_allclose(getattr(more, name)[:n], getattr(own, name), rtol=0, atol=1e-12)
    assert len(more.unit) == len(whole.items)


def test_bad_questions(census):
    with pytest.raises(TargetError, match="got 'JPM'; did you mean 'JPN'"):
        census.answers("JPM", form(SURVEY))
    with pytest.raises(InstrumentError, match="got style12"):
        census.answers("JPN", form("style12"))
    far = replace(invented(), profiles={**invented().profiles, "vignettes": np.full(6, 120.0)})
    with pytest.raises(ValueError, match="X-1: its profile on vignettes cannot be answered"):
        census.with_countries([far])


def test_invented_names_are_of_no_real_place(everybody):
    new = [country for country in everybody.countries if country.code not in load_census().codes]
    names = [country.name for country in new]
    assert len(set(names)) == len(names) >= 20
    real = {text.casefold() for t in all_targets() for text in (t.code, t.name, t.in_sentence)}
    for country in new:
        assert not resembles_real(country.name)
        assert not {country.code.casefold(), country.name.casefold()} & real
        assert country.name.isalpha()
        assert 6 <= len(country.name) <= 14
    assert len({invented_name([seed]) for seed in range(200)}) > 190

"""Figures are those of the 2015 matrix and its later additions; see src/hofsteer/targets/data/SOURCES.md."""

import csv
import pickle
from importlib.resources import files

import numpy as np
import pytest

from hofsteer.errors import TargetError
from hofsteer.targets import (
    DIMENSIONS,
    all_coordinates,
    all_targets,
    alternatives,
    complete_countries,
    coordinate_alternatives,
    load_target,
)
from hofsteer.targets.coordinates import SOURCES

MATRIX, INSIGHTS, ARAB = "hofstede-2015", "hofstede-insights-2021-04", "arab-2021-05"


def rows_of(source):
    rows = (row for target in all_targets() for row in alternatives(target.code))
    return [row for row in rows if row.code.endswith(f"@{source}")]


@pytest.mark.parametrize(
    ("code", "scores"),
    [
        ("USA", [40, 91, 62, 46, 26, 68]),
        ("CHN", [80, 20, 66, 30, 87, 24]),
        ("IND", [77, 48, 56, 40, 51, 26]),
        ("GRC", [60, 35, 57, 100, 45, 50]),  # UAI was 112 before the matrix was cut to 100
        ("ARAB_COUNTRIES", [80, 38, 53, 68, 23, 34]),
        ("SAU", [95, 25, 60, 80, 36, 52]),
        ("SAU@arab-2021-05", [72, 48, 43, 64, 27, 14]),
        ("SAU@hofstede-2015", [np.nan, np.nan, np.nan, np.nan, 36, 52]),
        ("SAU@hofstede-insights-2021-04", [95, 25, 60, 80, 36, 52]),
        ("AND", [np.nan, np.nan, np.nan, np.nan, np.nan, 65]),
    ],
)
def test_published_scores(code, scores):
    target = load_target(code)
    assert target.code == code
    np.testing.assert_array_equal(target.vector(DIMENSIONS), np.array(scores, dtype=np.float64))


def test_vector_follows_the_order_asked_for():
    vector = load_target("USA").vector(["IVR", "PDI", "masculinity"])
    assert vector.dtype == np.float64
    np.testing.assert_array_equal(vector, [68, 40, np.nan])


def test_counts_of_the_2015_matrix():
    rows = rows_of(MATRIX)
    assert len(rows) == 111
    assert sum(row.kind == "country" for row in rows) == 101
    counts = {dimension: sum(dimension in row.scores for row in rows) for dimension in DIMENSIONS}
    assert counts == {"PDI": 78, "IDV": 78, "MAS": 78, "UAI": 78, "LTO": 96, "IVR": 97}
    complete = [row for row in rows if not row.missing]
    assert len(complete) == 65
    assert {row.name for row in complete if row.kind == "region"} == {"East Africa", "West Africa", "Arab countries"}
    assert not any(row.estimated for row in rows)


def test_counts_of_the_later_sources():
    assert (len(rows_of(INSIGHTS)), len(rows_of(ARAB))) == (49, 6)
    assert sum(bool(row.estimated) for row in rows_of(INSIGHTS)) == 47  # not Libya, not South Africa
    assert not any(row.estimated for row in rows_of(ARAB))


def test_all_targets_are_sorted_default_rows():
    codes = [target.code for target in all_targets()]
    assert len(codes) == 135
    assert codes == sorted(codes)
    assert not any("@" in code for code in codes)


def test_complete_countries():
    countries = complete_countries()
    assert len(countries) == 95
    assert [country.code for country in countries] == sorted(country.code for country in countries)
    assert all(country.kind == "country" and country.missing == () for country in countries)
    assert sum(set(country.sources.values()) == {MATRIX} for country in countries) == 62
    assert load_target("SAU") in countries


def test_gaps_are_filled_cell_by_cell_and_say_so():
    saudi = load_target("SAU")
    assert saudi.estimated == {"PDI", "IDV", "MAS", "UAI"}
    assert saudi.sources == {**dict.fromkeys(["PDI", "IDV", "MAS", "UAI"], INSIGHTS), "LTO": MATRIX, "IVR": MATRIX}
    assert load_target("ARM").sources["LTO"] == MATRIX  # measured, between estimated neighbours
    assert load_target("ARM").estimated == set(DIMENSIONS) - {"LTO"}
    assert load_target("USA").estimated == frozenset()


def test_filling_changes_no_cell_of_the_matrix():
    for row in rows_of(MATRIX):
        filled = load_target(row.code.removesuffix(f"@{MATRIX}"))
        assert {dimension: filled.scores[dimension] for dimension in row.scores} == row.scores
        assert all(filled.sources[dimension] == MATRIX for dimension in row.scores)


def test_insights_repeats_the_matrix_and_estimates_only_what_it_adds():
    for row in rows_of(INSIGHTS):
        filled = load_target(row.code.partition("@")[0])
        assert row.scores == filled.scores
        assert row.estimated in ({d for d, source in filled.sources.items() if source == INSIGHTS}, frozenset())


def test_the_arab_update_is_never_a_default():
    assert not any(ARAB in target.sources.values() for target in all_targets())
    assert load_target("ARE").missing == ("LTO", "IVR")  # the update has both
    assert load_target("ARE@arab-2021-05").missing == ()


def test_a_country_that_only_the_later_table_has():
    angola = load_target("AGO")
    assert (angola.kind, angola.name, angola.estimated) == ("country", "Angola", set(DIMENSIONS))
    assert load_target("Namibia").missing == ("IVR",)


@pytest.mark.parametrize(("code", "dimension"), [("PAK", "IVR"), ("PRI", "LTO"), ("EGY@arab-2021-05", "IVR")])
def test_zero_is_a_score(code, dimension):
    assert load_target(code).scores[dimension] == 0
    assert dimension not in load_target(code).missing


def test_every_row_is_consistent():
    for target in (*all_targets(), *rows_of(MATRIX), *rows_of(INSIGHTS), *rows_of(ARAB)):
        assert target.scores.keys() == target.sources.keys()
        assert target.scores.keys() | set(target.missing) == set(DIMENSIONS)
        assert target.estimated <= target.scores.keys()
        assert target.scores
        assert all(0 <= score <= 100 for score in target.scores.values())


def test_names_agree_between_sources():
    for target in all_targets():
        assert {(row.name, row.in_sentence, row.kind) for row in alternatives(target.code)} == {
            (target.name, target.in_sentence, target.kind)
        }


def test_alternatives_are_the_pure_rows():
    codes = [f"SAU@{source}" for source in (MATRIX, INSIGHTS, ARAB)]
    assert [row.code for row in alternatives("SAU")] == codes
    assert [row.code for row in alternatives("Saudi Arabia@arab-2021-05")] == codes
    assert [row.code for row in alternatives("USA")] == ["USA@hofstede-2015"]
    assert all(set(row.sources.values()) == {row.code.partition("@")[2]} for row in alternatives("SAU"))
    with pytest.raises(TargetError, match="Saudi Arabia"):
        alternatives("Saudi Arabai")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("usa", "USA"),
        ("US", "USA"),
        ("U.S.A.", "USA"),
        ("America", "USA"),
        ("the United States", "USA"),
        ("UK", "GBR"),
        ("great-britain", "GBR"),
        ("saudi_arabia", "SAU"),
        ("Saudi-Arabia", "SAU"),
        ("  Saudi Arabia ", "SAU"),
        ("Czechia", "CZE"),
        ("korea", "KOR"),
        ("Türkiye", "TUR"),
        ("TURKIYE", "TUR"),
        ("sao tome and principe", "STP"),
        ("Arab countries", "ARAB_COUNTRIES"),
        ("arab-countries", "ARAB_COUNTRIES"),
        ("africa east", "AFRICA_EAST"),
        ("East Africa", "AFRICA_EAST"),
        ("Belgium (Dutch speakers)", "BELGIUM_DUTCH"),
        ("saudi arabia@ARAB-2021-05", "SAU@arab-2021-05"),
    ],
)
def test_look_up(name, code):
    assert load_target(name) is load_target(code)
    assert load_target(name).code == code


def test_no_name_stands_for_two_targets():
    lines = (files("hofsteer.targets") / "data" / "names.csv").read_text(encoding="utf-8").splitlines()
    records = list(csv.DictReader(lines))
    on_the_map = {row.code.partition("@")[0] for source in SOURCES for row in all_coordinates(source)}
    codes = {target.code for target in all_targets()}
    assert sorted(record["code"] for record in records) == sorted(codes | on_the_map)
    for record in records:
        target = load_target(record["code"]) if record["code"] in codes else coordinate_alternatives(record["code"])[0]
        aliases = [record["alpha2"] or target.code, *filter(None, record["aliases"].split(";"))]
        for name in (target.name, target.in_sentence, *aliases):
            found = load_target(name) if record["code"] in codes else coordinate_alternatives(name)[0]
            assert found is target


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("JPN", "Japan"),
        ("USA", "the United States"),
        ("GBR", "the United Kingdom"),
        ("NLD", "the Netherlands"),
        ("PHL", "the Philippines"),
        ("DOM", "the Dominican Republic"),
        ("CZE", "the Czech Republic"),
        ("ARE", "the United Arab Emirates"),
        ("ARE@arab-2021-05", "the United Arab Emirates"),
        ("SWITZERLAND_FRENCH", "the French-speaking part of Switzerland"),
    ],
)
def test_name_in_a_sentence(code, text):
    assert load_target(code).in_sentence == text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Jpan", "want the code or name of a country or region, got 'Jpan'; did you mean 'Japan'?"),
        (
            "ARAB_COUNTRYS",
            "want the code or name of a country or region, got 'ARAB_COUNTRYS'; did you mean 'ARAB_COUNTRIES'?",
        ),
        ("", "want the code or name of a country or region, got ''"),
        ("@arab-2021-05", "want the code or name of a country or region, got ''"),
        ("Ruritania\n", "want the code or name of a country or region, got 'Ruritania\\n'; did you mean 'Lithuania'?"),
        (
            "SAU@2015",
            "want SAU@ one of the sources hofstede-2015, hofstede-insights-2021-04, arab-2021-05, got '2015'",
        ),
        ("USA@arab-2021-05", "want USA@ one of the sources hofstede-2015, got 'arab-2021-05'"),
        ("USA@", "want USA@ one of the sources hofstede-2015, got ''"),
    ],
)
def test_unknown_name_is_one_helpful_line(name, message):
    with pytest.raises(TargetError) as error:
        load_target(name)
    assert str(error.value) == message


def test_a_target_travels_to_a_worker():
    target = load_target("SAU")
    assert pickle.loads(pickle.dumps(target)).scores == target.scores


def test_notes_of_the_sources_hold():
    def first_four(name):
        return load_target(name).vector(DIMENSIONS[:4]).tolist()

    assert first_four("ZAF") == first_four("SOUTH_AFRICA_WHITE")
    assert first_four("Fiji") == first_four("Indonesia")
    assert first_four("Armenia") == first_four("Azerbaijan")
    gap = load_target("LBY").vector(DIMENSIONS) - load_target("ARAB_COUNTRIES").vector(DIMENSIONS)
    assert gap.tolist() == [0, 0, -1, 0, 0, 0]

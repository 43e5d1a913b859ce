"""Figures are those of the three public sources of the map; see src/hofsteer/targets/data/SOURCES.md."""

import csv
from pathlib import Path

import numpy as np
import pytest

from hofsteer.errors import TargetError
from hofsteer.targets import (
    COORDINATES,
    all_coordinates,
    coordinate_alternatives,
    load_coordinates,
    map_distance,
    mean_country,
    nearest,
)
from hofsteer.targets.coordinates import SOURCES


@pytest.mark.parametrize(
    ("name", "code", "point"),
    [
        ("Sweden", "SWE@tao2024", [3.59, 0.63]),
        ("usa", "USA@tao2024", [1.51, -0.43]),
        ("USA@wvs_map_2023", "USA@wvs_map_2023-2017", [1.40, 0.14]),
        ("SWE@wvs-map-2023-2017", "SWE@wvs_map_2023-2017", [3.11, 1.11]),
        ("SAU@wvs_map_2022", "SAU@wvs_map_2022", [-0.42, -1.50]),
        ("Macao", "MAC@tao2024", None),
        ("Northern Ireland", "GB-NIR@tao2024", None),
        ("the maldives", "MDV@tao2024", None),
    ],
)
def test_look_up(name, code, point):
    target = load_coordinates(name)
    assert target.code == code
    assert set(target.sources.values()) == {code.partition("@")[2]}
    assert (target.missing, target.estimated) == ((), frozenset())
    if point is not None:
        np.testing.assert_allclose(target.vector(COORDINATES), point, atol=0.005)


@pytest.mark.parametrize(("source", "rows"), [("tao2024", 107), ("wvs_map_2022", 110), ("wvs_map_2023", 110)])
def test_counts(source, rows):
    found = all_coordinates(source)
    assert len(found) == rows
    assert [row.code for row in found] == sorted(row.code for row in found)
    assert all(set(row.scores) == set(COORDINATES) for row in found)


def test_no_row_mixes_sources():
    for source in SOURCES:
        for row in all_coordinates(source):
            (only,) = set(row.sources.values())
            assert only.startswith(source)
            assert row.code.endswith(f"@{only}")


def test_alternatives_are_one_row_a_source():
    assert [row.code for row in coordinate_alternatives("SAU")] == ["SAU@wvs_map_2022"]
    assert len({row.sources["SSE"] for row in coordinate_alternatives("Sweden")}) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Saudi Arabia",
            "Saudi Arabia is not testable on the map of tao2024, which lacks it (other rotations have it: "
            "wvs_map_2022)",
        ),
        ("Angola", "want a country or territory with coordinates, got 'Angola'; did you mean 'Mongolia'?"),
        ("Jpan", "want a country or territory with coordinates, got 'Jpan'; did you mean 'Japan'?"),
        ("CHL@tao2042", None),
    ],
)
def test_errors_in_one_line(name, message):
    with pytest.raises(TargetError) as caught:
        load_coordinates(name)
    assert str(caught.value).startswith(message or "want CHL@ one of the sources tao2024, wvs_map_2022, wvs_map_2023-")


def test_unknown_source_names_the_nearest():
    with pytest.raises(TargetError, match=r"got 'tao2042'; did you mean 'tao2024'\?$"):
        all_coordinates("tao2042")


def test_published_mean_distance_of_gpt4o_under_country_prompts():
    # its points: The-AI-Alliance/tapestry, evaluation/iw/coords_gpt4o.csv, after Tao et al. 2024, who print 1.57
    lines = Path(__file__).with_name("gpt4o-prompted.csv").read_text(encoding="utf-8").splitlines()
    model = {line["code"]: np.array([float(line[d]) for d in COORDINATES]) for line in csv.DictReader(lines)}
    assert len(model) == 107
    distances = [map_distance(point, load_coordinates(code).vector(COORDINATES)) for code, point in model.items()]
    assert np.mean(distances) == pytest.approx(1.568, abs=5e-4)


def test_reference_rows_stay_on_the_map():
    points = np.stack([row.vector(COORDINATES) for row in all_coordinates()])
    np.testing.assert_allclose(mean_country(COORDINATES), points.mean(axis=0))
    japan = load_coordinates("JPN")
    country, distance = nearest(japan, COORDINATES)
    assert country in all_coordinates()
    assert country.code != japan.code
    others = points[[row is not japan for row in all_coordinates()]]
    np.testing.assert_allclose(mean_country(COORDINATES, leaving_out=japan), others.mean(axis=0))
    assert distance == pytest.approx(np.abs(others - japan.vector(COORDINATES)).mean(axis=1).min())

from dataclasses import replace

import pytest

from hofsteer.errors import TargetError
from hofsteer.instruments import load_instrument
from hofsteer.targets import DIMENSIONS, coverage, human_dimensions, published_rows, target_for
from hofsteer.targets.globe import SCALES

VSM13, IVS10 = load_instrument("vsm13"), load_instrument("ivs10")


def test_which_target_is_testable_on_which_instrument():
    lines = {line.code: line.dimensions for line in coverage()}
    assert list(lines) == sorted(lines)
    published = {"globe": SCALES, "ivs10": ("SSE", "TSR"), "vsm13-cat": DIMENSIONS, "vsm13-own": DIMENSIONS}
    assert lines["JPN"] == published
    assert (lines["SAU"]["ivs10"], lines["SAU"]["vsm13-own"]) == ((), DIMENSIONS)
    assert (lines["MNG"]["ivs10"], lines["MNG"]["vsm13-own"]) == (("SSE", "TSR"), ())
    assert lines["AND"]["vsm13-own"] == ("IVR",)
    assert sum(bool(line["ivs10"]) for line in lines.values()) == 107
    assert sum(bool(line["vsm13-own"]) for line in lines.values()) == 135


def test_an_instrument_without_human_scores_tests_nobody():
    unvalidated = replace(VSM13, validated=False)
    assert human_dimensions(unvalidated) == ()
    with pytest.raises(TargetError, match=r"^vsm13-own has no published country scores: no target is testable on it$"):
        target_for("JPN", unvalidated)


def test_target_is_on_the_scale_of_the_instrument():
    assert target_for("JPN", VSM13).vector(VSM13.dimension_ids)[0] == 54
    japan = target_for("JPN", IVS10)
    assert set(japan.sources.values()) == {"tao2024"}
    assert abs(japan.vector(IVS10.dimension_ids)).max() < 5
    with pytest.raises(TargetError, match="not testable on the map of tao2024"):
        target_for("SAU", IVS10)


@pytest.mark.parametrize(
    ("name", "scores", "coordinates"),
    [
        ("JPN", "JPN", ["JPN@tao2024", "JPN@wvs_map_2022", "JPN@wvs_map_2023-2019"]),
        ("SAU@arab-2021-05", "SAU@arab-2021-05", ["SAU@wvs_map_2022"]),
        ("USA@tao2024", None, ["USA@tao2024"]),
        ("Angola", "AGO", []),
        ("Yemen", None, ["YEM@tao2024", "YEM@wvs_map_2022", "YEM@wvs_map_2023-2014"]),
    ],
)
def test_all_that_is_published_of_a_place(name, scores, coordinates):
    target, points = published_rows(name)
    assert (target.code if target else None) == scores
    assert [row.code for row in points] == coordinates


@pytest.mark.parametrize("name", ["Jpan", "USA@typo"])
def test_unknown_place(name):
    with pytest.raises(TargetError, match="want "):
        published_rows(name)

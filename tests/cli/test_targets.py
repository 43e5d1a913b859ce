import pytest

DIMENSIONS = ["PDI", "IDV", "MAS", "UAI", "LTO", "IVR"]


def test_list_as_json(hofsteer):
    result = hofsteer("targets", "--json")
    assert (result.code, result.err) == (0, "")
    table = result.json()
    assert list(table) == ["schema", "targets"]
    assert table["schema"] == 1
    rows = {row["code"]: row for row in table["targets"]}
    assert len(rows) == 135
    assert rows["JPN"] == {
        "code": "JPN",
        "name": "Japan",
        "kind": "country",
        "scores": dict(zip(DIMENSIONS, [54, 46, 95, 92, 88, 42], strict=True)),
    }
    assert rows["AND"]["scores"]["PDI"] is None


def test_list(hofsteer):
    result = hofsteer("targets")
    assert (result.code, result.err) == (0, "")
    assert "* estimate" in result.out
    (line,) = (line for line in result.out.splitlines() if "Saudi Arabia" in line)
    assert all(cell in line for cell in ("SAU", "95.0*", "25.0*", "36.0", "52.0"))


def test_show_as_json(hofsteer):
    table = hofsteer("targets", "show", "saudi arabia", "--json").json()
    assert list(table) == [
        *("schema", "code", "name", "kind", "scores", "missing", "n", "standard_errors", "source_spread"),
        *("noise_floor", "nearest", "alternatives", "coordinates", "globe", "testable"),
    ]
    assert (table["schema"], table["code"], table["n"], table["missing"]) == (1, "SAU", None, [])
    assert table["scores"]["PDI"] == {"score": 95, "source": "hofstede-insights-2021-04", "estimate": True}
    assert table["scores"]["LTO"] == {"score": 36, "source": "hofstede-2015", "estimate": False}
    assert list(table["nearest"]) == ["code", "name", "distance"]
    assert list(table["alternatives"]) == [
        "SAU@hofstede-2015",
        "SAU@hofstede-insights-2021-04",
        "SAU@arab-2021-05",
    ]


def test_show_gaps_as_json(hofsteer):
    table = hofsteer("targets", "show", "AND", "--json").json()
    assert table["missing"] == DIMENSIONS[:5]
    assert table["scores"]["PDI"] is None


def test_show(hofsteer):
    result = hofsteer("targets", "show", "SAU")
    assert (result.code, result.err) == (0, "")
    assert "also published: SAU@arab-2021-05 72.0/48.0/43.0/64.0/27.0/14.0, 21.0 points apart" in result.out
    assert "nearest other country: " in result.out
    assert "respondents: unknown; standard errors: unknown" in result.out
    assert "spread between sources: up to 23.5 points" in result.out
    assert "two samples of 50 from one country differ by 11 points" in " ".join(result.out.split())
    assert "missing: PDI" in hofsteer("targets", "show", "AND").out
    assert "also published" not in hofsteer("targets", "show", "JPN").out  # its one source is what is shown


@pytest.mark.parametrize(
    ("name", "hint"), [("Jpan", "did you mean 'Japan'?"), ("SAU@arab", "want SAU@ one of the sources hofstede-2015")]
)
def test_unknown_target(name, hint, refused):
    assert hint in refused("targets", "show", name)


def test_part_of_a_country_that_globe_sampled(hofsteer):
    table = hofsteer("targets", "show", "deu-east", "--json").json()
    assert (table["code"], table["kind"], table["scores"]["PDI"]) == ("DEU-EAST@globe-2004", "region", None)
    assert table["globe"]["PD-should"] == pytest.approx(2.69)
    assert (table["noise_floor"], table["nearest"], table["coordinates"]) == (None, None, {})
    assert table["testable"] == {"globe": list(table["globe"]), "ivs10": [], "vsm13-cat": [], "vsm13-own": []}
    said = hofsteer("targets", "show", "DEU-EAST").out
    assert "GLOBE value scales, 1 to 7, sample Germany (EAST): UA-should 3.94" in said

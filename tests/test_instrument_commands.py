"""What the commands show of instruments and targets; the numbers themselves are tested with what computes them."""

import json

import pytest

from hofsteer.cli.main import app


@pytest.fixture
def call():
    from typer.testing import CliRunner

    def call(*words):
        result = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


def test_instrument_as_json(call):
    shown = json.loads(call("instruments", "show", "ivs10", "--json"))
    assert (shown["constants"], shown["validated"]) == ("fixed", True)
    assert shown["dimensions"]["TSR"]["intercept"] == pytest.approx(-5.4456, abs=1e-4)
    assert shown["items"]["A029"]["scale"] == "pick"
    assert shown["items"]["Y002"]["scale"] is None
    assert shown["leakage"]["uniform"] == pytest.approx({"SSE": -0.4764, "TSR": 2.0443}, abs=1e-4)
    assert next(iter(shown["leakage"]["blocks"])) == "happiness"


def test_instrument_for_people(call):
    shown = call("instruments", "show", "vsm13")
    assert "PDI Power distance: +35 Q7 -35 Q2 +25 Q20 -25 Q23 + C" in shown
    leak = shown[shown.index("Leakage") :]
    assert [line.split("│")[2].strip() for line in leak.splitlines() if "agreement" in line] == ["-25.0"]
    assert "every item" in leak


def test_target_that_an_instrument_cannot_test(call):
    assert "ivs10: not testable" in call("targets", "show", "SAU")
    shown = json.loads(call("targets", "show", "SAU", "--json"))
    assert shown["coordinates"] == {"SAU@wvs_map_2022": {"SSE": -0.4165, "TSR": -1.5044}}
    assert (shown["testable"]["ivs10"], len(shown["testable"]["vsm13-own"])) == ([], 6)


def test_target_with_coordinates_alone(call):
    shown = json.loads(call("targets", "show", "Mongolia", "--json"))
    assert (shown["code"], shown["nearest"], shown["scores"]["PDI"]) == ("MNG@tao2024", None, None)
    assert "vsm13-own: not testable" in call("targets", "show", "Mongolia")


def test_coverage(call):
    shown = json.loads(call("targets", "coverage", "--json"))
    assert shown["instruments"] == ["globe", "ivs10", "vsm13-cat", "vsm13-own"]
    assert shown["targets"]["SAU"]["testable"]["ivs10"] == []
    assert len(shown["targets"]) == 146 + 6  # parts of four countries, samples of their own in GLOBE
    assert "not testable" in call("targets", "coverage")


def test_score_of_an_instrument_with_its_own_zero(call, tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("A008,A165,E018,E025,F063,F118,F120,G006,Y002,A029,A039,A040,A042\n2,1,1,1,7,6,5,2,2,1,0,0,0\n")
    shown = json.loads(call("score", str(path), "--instrument", "ivs10", "--json"))
    assert shown["constants"] == "none"
    assert shown["groups"]["all"]["scores"] == pytest.approx({"SSE": 2.4308, "TSR": -0.2597}, abs=5e-5)
    assert "2.43" in call("score", str(path), "--instrument", "ivs10")

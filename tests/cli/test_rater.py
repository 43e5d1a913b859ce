import csv
import json
import sys

import pytest

from hofsteer.cli.main import run
from hofsteer.instruments import load_instrument


@pytest.fixture
def hofsteer(monkeypatch, capsys):
    """Call the command line in this process: (exit code, standard output, standard error)."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["hofsteer", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as caught:
            run()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return call


@pytest.fixture
def fill(hofsteer, tmp_path):
    """Write a sheet by the command, and fill it in: as the key has it, but for some cells."""
    vignettes = load_instrument("vignettes")
    key = {item_id: d.id for d in vignettes.dimensions for item_id, _ in d.weights}
    high = {item.id: max(item.options, key=lambda option: option.value).text for item in vignettes.items}

    def fill(name, **dimensions):
        path = tmp_path / name
        assert hofsteer("instruments", "rater-sheet", "vignettes", "--out", path) == (0, "", "")
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        for row in rows:
            if row[0] in key:
                row[4:] = [dimensions.get(row[0], key[row[0]]), "a" if row[2] == high[row[0]] else "b"]
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
        return path

    return fill


def test_sheet_on_standard_output_and_in_a_file(hofsteer, tmp_path):
    code, out, err = hofsteer("instruments", "rater-sheet", "vignettes")
    assert (code, err) == (0, "")
    assert "\nitem,situation,action_a,action_b,dimension,pole\n" in out
    path = tmp_path / "sheet.csv"
    assert hofsteer("instruments", "rater-sheet", "vignettes", "--out", path) == (0, "", "")
    assert path.read_text(encoding="utf-8") == out


def test_filled_in_sheet_is_never_overwritten(hofsteer, fill):
    path = fill("ann.csv")
    before = path.read_bytes()
    code, _, err = hofsteer("instruments", "rater-sheet", "vignettes", "--out", path)
    assert (code, err) == (2, f"error: want a new file for the rater sheet, got {path}, which exists\n")
    assert path.read_bytes() == before


def test_sheet_that_cannot_be_written_or_made(hofsteer, tmp_path):
    path = tmp_path / "none" / "sheet.csv"
    code, _, err = hofsteer("instruments", "rater-sheet", "vignettes", "--out", path)
    assert (code, err) == (2, f"error: cannot write a rater sheet to {path}: No such file or directory\n")
    code, _, err = hofsteer("instruments", "rater-sheet", "vsm13")
    assert code == 2
    assert err.startswith("error: vsm13-own has no rater sheet: ")


def test_agreement_for_people(hofsteer, fill):
    sheets = [fill("ann.csv"), fill("bo.csv", V02="MAS", V03=""), fill("cy.csv")]
    code, out, err = hofsteer("instruments", "agreement", *sheets)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    lines = {tuple(line.split()[:2]): line.split()[2:] for line in out.splitlines() if line.strip()}
    assert lines["key,", "ann"] == ["36", *["1.00"] * 7, "36/36", "1.00"]
    assert lines["key,", "bo"][:2] == ["35", "0.97"]
    assert lines["all", "(Fleiss)"][0] == "35"
    assert err == "bo: no dimension for V03\n"


def test_agreement_as_json(hofsteer, fill):
    sheet = fill("bo.csv", V02="MAS", V03="")
    code, out, err = hofsteer("instruments", "agreement", sheet, "--instrument", "vignettes", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["schema"], found["instrument"], found["group"], found["between"]) == (1, "vignettes", None, [])
    assert found["raters"] == {"bo": {"rated": 35, "missing": ["V03"], "without_pole": []}}
    [pair] = found["with_key"]
    assert (pair["first"], pair["second"], pair["items"], pair["same_dimension"]) == ("key", "bo", 35, 34)
    assert pair["dimensions"]["PDI"]["items"] == 5
    assert pair["dimensions"]["IVR"] == {"kappa": 1.0, "items": 6, "poles": 6, "same_pole": 6}


def test_undefined_kappa_is_null(hofsteer, fill):
    key = {item_id: d.id for d in load_instrument("vignettes").dimensions for item_id, _ in d.weights}
    sheet = fill("ann.csv", **{item_id: "" for item_id, dimension in key.items() if dimension != "PDI"})
    _, out, _ = hofsteer("instruments", "agreement", sheet, "--json")
    [pair] = json.loads(out)["with_key"]
    assert (pair["items"], pair["kappa"], pair["pole_kappa"]) == (6, None, 1.0)
    _, out, _ = hofsteer("instruments", "agreement", sheet)
    assert " 6  - " in " ".join(line for line in out.splitlines() if "key, ann" in line).replace("     ", "  ")


def test_error_is_one_line(hofsteer, fill):
    code, out, err = hofsteer("instruments", "agreement", fill("bo.csv", V02="PDD"))
    assert (code, out) == (2, "")
    assert "column dimension: unknown dimension 'PDD'; did you mean 'PDI'? (there are PDI, " in err
    assert err.count("\n") == 1
    code, _, err = hofsteer("instruments", "agreement", "none.csv", "--instrument", "vignetes")
    assert code == 2
    assert "unknown instrument 'vignetes'; did you mean 'vignettes'?" in err

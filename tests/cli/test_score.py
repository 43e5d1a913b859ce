import re

import numpy as np
import pytest

ITEMS = [f"Q{i}" for i in range(1, 25)]
HEADER = "group," + ",".join(ITEMS)


@pytest.fixture
def write(tmp_path):
    def write(*lines, name="answers.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def row(group, **answers):
    """A line of answers, 3 where nothing else is said."""
    return ",".join([group, *(str(answers.get(item, 3)) for item in ITEMS)])


# PDI = 35(m7 - m2) + 25(m20 - m23), IDV = 35(m4 - m1) + 35(m9 - m6), MAS = 35(m5 - m3) + 35(m8 - m10),
# UAI = 40(m18 - m15) + 25(m21 - m24), LTO = 40(m13 - m14) + 25(m19 - m22), IVR = 35(m12 - m11) + 40(m17 - m16)
A = {"Q7": 5, "Q2": 1, "Q20": 4, "Q4": 1, "Q9": 2, "Q8": 4, "Q10": 2}
B = {"Q18": 2, "Q21": 5, "Q13": 1, "Q22": 5, "Q17": 4, "Q12": 2.5}
SUMS = {
    "A": {"PDI": 35 * 4 + 25, "IDV": -70 - 35, "MAS": 70, "UAI": 0, "LTO": 0, "IVR": 0},
    "B": {"PDI": 0, "IDV": 0, "MAS": 0, "UAI": -40 + 50, "LTO": -80 - 50, "IVR": -17.5 + 40},
}


@pytest.mark.parametrize(("constants", "C"), [("midpoint", 50), ("none", 0)])
def test_scores_are_the_formulas(constants, C, write, hofsteer):
    path = write(HEADER, row("A", **A), row("B", **B))
    result = hofsteer("score", path, "--constants", constants, "--json")
    assert (result.code, result.err) == (0, "")
    table = result.json()
    assert list(table) == ["schema", "instrument", "constants", "policies", "groups", "differences"]
    assert (table["schema"], table["instrument"], table["constants"]) == (1, "vsm13-own", constants)
    for name in ("A", "B"):
        assert list(table["groups"][name]) == ["n", "scores", "missing", "target", "losses"]
        assert table["groups"][name]["scores"] == {d: v + C for d, v in SUMS[name].items()}
        assert (table["groups"][name]["n"], table["groups"][name]["missing"]) == (1, [])


def test_scores_are_of_the_mean_answers(write, hofsteer):
    path = write(HEADER, row("A", **A), row("A", **B), row("A"))
    (group,) = hofsteer("score", path, "--json").json()["groups"].values()
    assert group["n"] == 3
    assert group["scores"] == {d: pytest.approx((SUMS["A"][d] + SUMS["B"][d]) / 3 + 50) for d in SUMS["A"]}


JAPAN, USA = [54, 46, 95, 92, 88, 42], [40, 91, 62, 46, 26, 68]
SUM_A = np.array(list(SUMS["A"].values()))


def test_groups_that_are_countries(write, hofsteer):
    path = write(HEADER, row("Japan", **A), row("usa"), row("me", **B))
    table = hofsteer("score", path, "--json").json()
    groups = table["groups"]
    assert [group["target"] for group in groups.values()] == ["JPN", "USA", None]
    assert groups["Japan"]["losses"] == {"midpoint": pytest.approx(np.abs(SUM_A + 50 - JAPAN).mean())}
    assert groups["me"]["losses"] == {}
    apart = dict(zip(SUMS["A"], np.abs(SUM_A - (np.array(JAPAN) - USA)), strict=True))
    assert table["differences"] == pytest.approx(apart)
    said = " ".join(hofsteer("score", path).out.split())
    loss = groups["Japan"]["losses"]["midpoint"]
    assert f"Japan to JPN: Loss under each policy of constants: midpoint {loss:.1f}." in said
    assert "Loss of the differences between these countries, at any constants: PDI 151.0, IDV 60.0," in said


def test_groups_as_anchors(write, hofsteer):
    path = write(HEADER, row("Japan", **A), row("usa"), row("me", **B))
    arguments = ("score", path, "--constants", "anchor:USA,JPN")
    table = hofsteer(*arguments, "--json").json()
    assert [policy["kind"] for policy in table["policies"]] == ["anchor:USA,JPN", "midpoint"]
    C = (np.array(JAPAN) + USA - SUM_A) / 2
    assert list(table["policies"][0]["values"].values()) == pytest.approx(C)
    assert list(table["groups"]["me"]["scores"].values()) == pytest.approx(C + list(SUMS["B"].values()))
    losses = table["groups"]["usa"]["losses"]
    assert losses == {
        "anchor:USA,JPN": pytest.approx(np.abs(C - USA).mean()),
        "midpoint": pytest.approx(np.abs(50 - np.array(USA)).mean()),
    }
    said = " ".join(hofsteer(*arguments).out.split())
    assert "so that the groups of 2 countries score as published on average. Slope and R2" in said


def test_missing_items_of_anchors(write, hofsteer):
    path = write("group,Q7,Q2,Q20,Q23", "JPN,1,1,1,1", "USA,1,1,1,1")
    table = hofsteer("score", path, "--constants", "anchor:USA,JPN", "--json").json()
    assert table["policies"][0]["values"] == {"PDI": 47, **dict.fromkeys(["IDV", "MAS", "UAI", "LTO", "IVR"], 50)}
    assert table["groups"]["JPN"]["losses"] == {"anchor:USA,JPN": None, "midpoint": None}
    assert table["differences"] == {"PDI": 14, **dict.fromkeys(["IDV", "MAS", "UAI", "LTO", "IVR"])}
    assert "Loss under each policy" not in hofsteer("score", path, "--constants", "anchor:USA,JPN").out


def test_missing_items_make_their_dimension_null(write, hofsteer):
    path = write("Q7,Q2,Q20,Q23,Q4", "5,1,3,3,2")
    groups = hofsteer("score", path, "--json").json()["groups"]
    assert list(groups) == ["all"]
    assert groups["all"]["scores"] == {"PDI": 190, "IDV": None, "MAS": None, "UAI": None, "LTO": None, "IVR": None}
    assert groups["all"]["missing"] == [item for item in ITEMS if item not in ("Q7", "Q2", "Q20", "Q23", "Q4")]


def test_variant_of_the_formulas(write, hofsteer):
    path = write(HEADER, row("A", **A))
    table = hofsteer("score", path, "--instrument", "vsm13-cat", "--json").json()
    assert table["instrument"] == "vsm13-cat"
    assert table["groups"]["A"]["scores"]["MAS"] == 25 * 2 + 50
    assert table["groups"]["A"]["scores"]["PDI"] == 165 + 50


def test_table_for_people(write, hofsteer):
    result = hofsteer("score", write(HEADER, row("A", **A), row("B", **B)))
    assert (result.code, result.err) == (0, "")
    line = next(line for line in result.out.splitlines() if re.search(r"\bA\b.*215", line))
    assert re.findall(r"-?\d+\.\d", line) == ["215.0", "-55.0", "120.0", "50.0", "50.0", "50.0"]
    assert "(constants: midpoint)" in result.out
    assert "Only differences between samples asked alike have meaning" in result.out
    assert "if rows are item means, n counts rows and not people" in " ".join(result.out.split())
    assert "Noise floor" not in result.out


def test_noise_floor_of_people(write, hofsteer):
    said = " ".join(hofsteer("score", write("group,Q1", "A,2", "B,3", "B,4")).out.split())
    assert "two samples of 1 (the smallest group, A) from one country differ by 77 points" in said


def test_columns_that_are_not_read_are_named_on_stderr(write, hofsteer):
    path = write("id,Q1,age", "7,3,40")
    result = hofsteer("score", path, "--json")
    assert result.json()["groups"]["all"]["n"] == 1
    assert result.err == "columns not read: id, age\n"


def test_group_names_are_shown_as_they_are(write, hofsteer):
    # they were once read as markup: `[/a]` was a traceback, `[b]` vanished and `:cat:` was a cat
    path = write("group,Q1", "[/a],1", "[b],2", ":cat:,3")
    result = hofsteer("score", path)
    assert result.code == 0
    assert all(name in result.out for name in ("[/a]", "[b]", ":cat:"))
    assert list(hofsteer("score", path, "--json").json()["groups"]) == ["[/a]", "[b]", ":cat:"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("Q1,Q2", "1,2", "3,6"), "answers.csv row 3, column Q2: want a number from 1 to 5, or a blank cell, got '6'"),
        (("Q1,Q2", "1,2", "0,3"), "answers.csv row 3, column Q1: want a number from 1 to 5, or a blank cell, got '0'"),
        (("Q1,Q2", "often,2"), "answers.csv row 2, column Q1: want a number from 1 to 5, or a blank cell, got 'often'"),
        (("Q1", "nan"), "answers.csv row 2, column Q1: want a number from 1 to 5, or a blank cell, got 'nan'"),
        (("age,q1a", "1,2"), "answers.csv: want a header with items of vsm13-own, Q1 to Q24, got 'age, q1a'"),
        (("Q1,Q1", "1,2"), "answers.csv: want one column Q1, got two, columns 1 and 2"),
        (("Q1",), "answers.csv: want rows of answers below the header, got none"),
    ],
)
def test_bad_tables(lines, message, write, refused):
    for extra in ([], ["--json"]):
        assert refused("score", write(*lines), *extra).startswith(message)


def test_bad_arguments(write, refused, tmp_path):
    path = write(HEADER, row("A"))
    missing = tmp_path / "none.csv"
    assert refused("score", missing) == f"cannot read answers from {missing}: No such file or directory"
    assert refused("score", tmp_path) == f"cannot read answers from {tmp_path}: Is a directory"
    assert "did you mean 'vsm13'?" in refused("score", path, "--instrument", "vsm14")
    assert "did you mean 'midpoint'?" in refused("score", path, "--constants", "midpiont")
    wanted = "want one group of the anchor USA in the table, got 0 among A"
    assert refused("score", path, "--constants", "anchor:USA,JPN") == wanted
    assert "are fitted to a model's answers" in refused("score", path, "--constants", "fitted")
    broken = write("items = [", name="broken.toml")
    assert refused("score", path, "--instrument", broken).startswith("broken.toml is not a TOML file: ")


def test_bytes_that_are_no_text(tmp_path, refused):
    (tmp_path / "answers.csv").write_bytes(b"Q1\n\xff\xfe\n")
    assert refused("score", tmp_path / "answers.csv") == "answers.csv: want text in UTF-8, got bytes that are not"


def test_in_a_process_of_its_own(write, process):
    result = process("score", write(HEADER, row("A", **A)), "--json")
    assert (result.code, result.err) == (0, "")
    assert result.json()["groups"]["A"]["scores"]["PDI"] == 215

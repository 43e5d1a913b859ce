import csv
import io
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hofsteer.errors import InstrumentError
from hofsteer.instruments import load_instrument
from hofsteer.instruments.kappa import cohen_kappa, fleiss_kappa
from hofsteer.instruments.rater import COLUMNS, NO_DIMENSION, agreement, rater_sheet, read_rater_sheet

VIGNETTES = load_instrument("vignettes")
KEY = {item_id: d.id for d in VIGNETTES.dimensions for item_id, _ in d.weights}
HIGH = {item.id: max(item.options, key=lambda option: option.value).text for item in VIGNETTES.items}


def empty_rows():
    return list(csv.DictReader(line for line in rater_sheet(VIGNETTES).splitlines() if "#" not in line))


def true_rows():
    """A sheet filled in exactly as the key has it."""
    rows = empty_rows()
    for row in rows:
        row["dimension"] = KEY[row["item"]]
        row["pole"] = "a" if row["action_a"] == HIGH[row["item"]] else "b"
    return rows


@pytest.fixture
def write(tmp_path):
    def write(rows, name="ann.csv", *, delimiter=",", columns=COLUMNS, head="", encoding="utf-8") -> Path:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, delimiter=delimiter, extrasaction="ignore", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
        path = tmp_path / name
        path.write_bytes((head + text.getvalue()).encode(encoding))
        return path

    return write


def message_of(*paths, instrument=VIGNETTES):
    with pytest.raises(InstrumentError) as caught:
        agreement(paths, instrument)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Kappa


def test_cohen_for_the_two_raters_of_fleiss_levin_and_paik():
    # Statistical Methods for Rates and Proportions, chapter 18: 100 patients as psychotic, neurotic or organic.
    # By hand: observed 89/100; expected .80 * .80 + .10 * .05 + .10 * .15 = .66; kappa = .23 / .34.
    table = [[75, 1, 4], [5, 4, 1], [0, 0, 10]]
    first = [i for i in range(3) for j in range(3) for _ in range(table[i][j])]
    second = [j for i in range(3) for j in range(3) for _ in range(table[i][j])]
    assert cohen_kappa(first, second) == pytest.approx(23 / 34, abs=1e-15)
    assert cohen_kappa(second, first) == cohen_kappa(first, second)
    # One category against the rest, by hand: psychotic (.90 - .68) / .32, neurotic (.93 - .86) / .14.
    for category, kappa in ((0, 22 / 32), (1, 7 / 14)):
        by_category = cohen_kappa([a == category for a in first], [b == category for b in second])
        assert by_category == pytest.approx(kappa, abs=1e-15)


def test_fleiss_for_the_six_raters_of_his_paper():
    # Fleiss 1971, Table 1: 30 patients, 6 raters, 5 diagnoses; the paper gives .430 over all, and for each diagnosis
    # .245, .245, .520, .471 and .566.
    digits = """
        00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
        00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
        """
    counts = np.array([[float(digit) for digit in patient] for patient in digits.split()])
    assert fleiss_kappa(counts) == pytest.approx(0.430, abs=5e-4)
    for category, kappa in enumerate([0.245, 0.245, 0.520, 0.471, 0.566]):
        against_rest = np.stack([counts[:, category], 6 - counts[:, category]], axis=1)
        assert fleiss_kappa(against_rest) == pytest.approx(kappa, abs=5e-4)


def test_kappa_is_zero_by_chance_and_negative_below():
    assert cohen_kappa("aabb", "abab") == 0
    assert cohen_kappa("aabb", "bbaa") == -1
    assert fleiss_kappa(np.array([[1.0, 1.0], [1.0, 1.0]])) == -1


def test_kappa_that_is_undefined():
    assert math.isnan(cohen_kappa([], []))
    assert math.isnan(cohen_kappa("aaa", "aaa"))
    assert cohen_kappa("aaa", "aab") == 0
    assert math.isnan(fleiss_kappa(np.empty((0, 3))))
    assert math.isnan(fleiss_kappa(np.array([[3.0, 0.0], [3.0, 0.0]])))


@pytest.mark.parametrize("counts", [[[3, 0], [2, 0]], [[1, 0], [0, 1]]])
def test_fleiss_wants_the_same_two_raters_or_more(counts):
    with pytest.raises(ValueError, match="want the same number of raters"):
        fleiss_kappa(np.array(counts, dtype=float))


# The empty sheet


def test_sheet_is_always_the_same():
    assert rater_sheet(VIGNETTES) == rater_sheet(VIGNETTES)


def test_sheet_holds_every_item_and_both_actions():
    rows = empty_rows()
    assert tuple(rows[0]) == COLUMNS
    assert sorted(row["item"] for row in rows) == sorted(VIGNETTES.item_ids)
    for row in rows:
        item = VIGNETTES.item(row["item"])
        assert row["situation"] == item.wordings[0]
        assert {row["action_a"], row["action_b"]} == {option.text for option in item.options}
        assert row["dimension"] == row["pole"] == ""


def test_sheet_does_not_tell_the_key():
    rows = empty_rows()
    assert [row["item"] for row in rows] != list(VIGNETTES.item_ids)
    assert sum(row["action_a"] == HIGH[row["item"]] for row in rows) == 18  # the place says nothing
    first = [VIGNETTES.item(row["item"]).options[0].text == row["action_a"] for row in rows]
    assert 0 < sum(first) < 36  # nor is it that of the instrument
    by_row = [KEY[row["item"]] for row in rows]
    assert sum(a == b for a, b in pairwise(by_row)) < 12  # dimensions are not in blocks


def test_sheet_says_what_to_do():
    head = [line for line in rater_sheet(VIGNETTES).splitlines() if line.startswith(("#", '"#'))]
    assert "instrument vignettes" in head[0]
    assert "PDI (Power distance), IDV (Individualism)" in head[2]


@pytest.mark.parametrize(("name", "fault"), [("vsm13", "Q1 with 5 options in 1 dimensions"), ("ivs10", "A008 with 4")])
def test_no_sheet_for_what_is_no_forced_choice(name, fault):
    with pytest.raises(InstrumentError, match=f"no rater sheet: want items with two options .* got {fault}"):
        rater_sheet(load_instrument(name))


# Filled-in sheets


def test_rater_who_sees_it_like_the_key(write):
    found = agreement([write(true_rows())], VIGNETTES)
    [comparison] = found.with_key
    assert (comparison.first, comparison.second) == ("key", "ann")
    assert (comparison.items, comparison.same_dimension, comparison.kappa) == (36, 36, 1)
    assert (comparison.poles, comparison.same_pole, comparison.pole_kappa) == (36, 36, 1)
    for dimension in comparison.dimensions.values():
        assert (dimension.kappa, dimension.items, dimension.poles, dimension.same_pole) == (1, 6, 6, 6)
    assert found.between == ()
    assert found.group is None
    assert found.sheets[0].missing == ()


def test_sheet_as_it_was_sent_out_with_its_head(write, tmp_path):
    filled = {row["item"]: row for row in true_rows()}
    lines = [
        line if "#" in line or line.startswith("item,") else f"{line[:-1]}{KEY[line[:3]]},{filled[line[:3]]['pole']}"
        for line in rater_sheet(VIGNETTES).splitlines()
    ]
    path = tmp_path / "ann.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert agreement([path], VIGNETTES).with_key[0].kappa == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_sheet_from_a_spreadsheet(write, delimiter, encoding):
    rows = [
        row | {"dimension": f" {row['dimension'].lower()} ", "pole": row["pole"].upper()}
        for row in sorted(true_rows(), key=lambda row: row["item"])
    ]
    head = f"# Rater sheet, instrument vignettes. And more.{delimiter * 5}\r\n{delimiter * 5}\r\n"
    path = write(rows, delimiter=delimiter, encoding=encoding, head=head)
    assert agreement([path], VIGNETTES).with_key[0].pole_kappa == 1


def test_actions_that_changed_places_keep_their_pole(write):
    rows = true_rows()
    for row in rows[::3]:
        row["action_a"], row["action_b"] = row["action_b"], row["action_a"]
        row["pole"] = "b" if row["pole"] == "a" else "a"
    assert agreement([write(rows)], VIGNETTES).with_key[0].pole_kappa == 1


def test_dimension_by_name(write):
    names = {d.id: d.name for d in VIGNETTES.dimensions}
    rows = [row | {"dimension": names[row["dimension"]]} for row in true_rows()]
    assert agreement([write(rows)], VIGNETTES).with_key[0].kappa == 1


def test_disagreement_by_hand(write):
    # PDI items named MAS: 30 of 36 agree; expected (4 * 6 * 6 + 6 * 12 + 6 * 0) / 36^2 = 216 / 1296 = 1 / 6.
    rows = [row | {"dimension": "MAS" if row["dimension"] == "PDI" else row["dimension"]} for row in true_rows()]
    [found] = agreement([write(rows)], VIGNETTES).with_key
    assert found.same_dimension == 30
    assert found.kappa == pytest.approx((30 / 36 - 1 / 6) / (5 / 6))
    # MAS against all else: 30 agree; expected (6 * 12 + 30 * 24) / 1296.
    assert found.dimensions["MAS"].kappa == pytest.approx((30 / 36 - 792 / 1296) / (1 - 792 / 1296))
    assert found.dimensions["PDI"].kappa == 0
    assert found.dimensions["IDV"].kappa == 1
    assert (found.poles, found.same_pole) == (30, 30)  # a pole of another dimension says nothing
    assert found.dimensions["PDI"].items == found.dimensions["PDI"].poles == 0


def test_poles_the_wrong_way_round(write):
    rows = [row | {"pole": "b" if row["pole"] == "a" else "a"} for row in true_rows()]
    [found] = agreement([write(rows)], VIGNETTES).with_key
    assert (found.kappa, found.pole_kappa, found.same_pole) == (1, -1, 0)


def test_missing_ratings_are_left_out_and_listed(write):
    rows = true_rows()
    blank, no_pole, none, absent = (row["item"] for row in rows[:4])
    rows[0]["dimension"] = ""  # its pole alone says nothing
    rows[1]["pole"] = ""
    rows[2]["dimension"] = NO_DIMENSION
    del rows[3]
    found = agreement([write(rows)], VIGNETTES)
    assert found.sheets[0].missing == tuple(sorted([blank, absent]))
    assert found.sheets[0].without_pole == (no_pole,)
    assert found.sheets[0].ratings[none].dimension == NO_DIMENSION
    assert (found.with_key[0].items, found.with_key[0].same_dimension, found.with_key[0].poles) == (34, 33, 32)


def test_two_raters_are_compared_over_what_both_rated(write):
    rows = true_rows()
    ann = write([row | {"dimension": ""} if i < 4 else row for i, row in enumerate(rows)], "ann.csv")
    bo = write([row | {"dimension": ""} if i >= 30 else row for i, row in enumerate(rows)], "bo.csv")
    found = agreement([ann, bo], VIGNETTES)
    assert [(c.first, c.second, c.items) for c in found.with_key] == [("key", "ann", 32), ("key", "bo", 30)]
    assert [(c.first, c.second, c.items, c.kappa) for c in found.between] == [("ann", "bo", 26, 1)]
    assert found.group is None


def test_raters_without_an_item_in_common(write):
    rows = true_rows()
    ann, bo = write(rows[:10], "ann.csv"), write(rows[10:], "bo.csv")
    [pair] = agreement([ann, bo], VIGNETTES).between
    assert pair.items == 0
    assert math.isnan(pair.kappa)


def test_three_raters_by_hand(write):
    rows = true_rows()
    other = [row | {"dimension": "MAS" if row["dimension"] == "PDI" else row["dimension"]} for row in rows]
    found = agreement([write(rows, "ann.csv"), write(rows, "bo.csv"), write(other, "cy.csv")], VIGNETTES)
    assert [(c.first, c.second) for c in found.between] == [("ann", "bo"), ("ann", "cy"), ("bo", "cy")]
    assert found.group is not None
    assert found.group.items == 36
    # 30 items with full agreement, 6 with one pair of three: (30 + 6 / 3) / 36. Of 108 ratings, PDI has 12, MAS 24.
    expected = (4 * 18**2 + 12**2 + 24**2) / 108**2
    assert found.group.kappa == pytest.approx((32 / 36 - expected) / (1 - expected))
    assert found.group.dimensions["IDV"] == 1
    share = 12 / 108
    by_chance = share**2 + (1 - share) ** 2
    assert found.group.dimensions["PDI"] == pytest.approx((32 / 36 - by_chance) / (1 - by_chance))


def test_files_of_one_name_are_told_apart_by_their_folders(write, tmp_path):
    (tmp_path / "b").mkdir()
    first, second = write(true_rows()), write(true_rows(), "b/ann.csv")
    assert [sheet.rater for sheet in agreement([first, second], VIGNETTES).sheets] == [str(first), str(second)]
    assert agreement([write(true_rows(), "key.csv")], VIGNETTES).sheets[0].rater.endswith("/key.csv")


# What a sheet must not be


def test_same_file_twice(write):
    path = write(true_rows())
    assert message_of(path, path) == "want each rater sheet once, got the same file twice"


def test_no_file(tmp_path):
    missing = tmp_path / "none.csv"
    assert message_of(missing) == f"cannot read a rater sheet from {missing}: No such file or directory"
    assert message_of() == "want one rater sheet or more, got none"


def test_file_that_is_not_text(tmp_path):
    path = tmp_path / "ann.csv"
    path.write_bytes(b"item,\xff")
    assert message_of(path) == "ann.csv: want text in UTF-8, got bytes that are not"


def test_empty_file_and_empty_sheet(write, tmp_path):
    path = tmp_path / "none.csv"
    path.write_text("# head\n\n;;;\n", encoding="utf-8")
    assert message_of(path).startswith("none.csv is empty, want a rater sheet with the columns item, situation, ")
    said = "ann.csv: want ratings in the columns dimension and pole, got an empty sheet"
    assert message_of(write(empty_rows())) == said
    assert message_of(write([])) == said


def test_missing_column(write):
    path = write(true_rows(), columns=[c for c in COLUMNS if c != "pole"])
    assert message_of(path) == "ann.csv: want one column pole, got 0"
    rows = [row | {"dimensions": row["dimension"]} for row in true_rows()]
    path = write(rows, columns=["dimensions" if c == "dimension" else c for c in COLUMNS])
    assert message_of(path) == "ann.csv: want one column dimension, got 0; did you mean 'dimensions'?"


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        (
            "dimension",
            "PDJ",
            "ann.csv row 2, column dimension: unknown dimension 'PDJ'; did you mean 'PDI'? (there are",
        ),
        ("dimension", "power distanse", "unknown dimension 'power distanse'; did you mean 'Power distance'?"),
        ("dimension", "5", "unknown dimension '5' (there are PDI, IDV, MAS, UAI, LTO, IVR and none)"),
        ("pole", "high", "ann.csv row 2, column pole: want a or b, or a blank cell, got 'high'"),
        (
            "item",
            "V40",
            "ann.csv row 2: vignettes has no item 'V40'; did you mean 'V34'? (is it a sheet of this instrument?)",
        ),
        ("action_a", "do nothing", "want the two actions of V22 as vignettes has them, got other texts; was the sheet"),
    ],
)
def test_cell_that_is_not_what_it_should_be(write, column, cell, message):
    rows = true_rows()
    rows[0][column] = cell
    assert message in message_of(write(rows))


def test_row_of_an_item_twice_or_too_long(write):
    rows = true_rows()
    assert message_of(write([*rows, rows[0]])) == f"ann.csv row 38: want each item once, got {rows[0]['item']} twice"
    path = write(rows)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[5] += ",perhaps"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert message_of(path) == "ann.csv row 6: want 6 cells as in the header, got 7"


def test_broken_quotes(write):
    path = write(true_rows())
    path.write_text(path.read_text(encoding="utf-8") + 'V01,"x" y,,,,\n', encoding="utf-8")
    assert message_of(path).startswith("ann.csv: want rows of a CSV file, got an error: ")


def test_sheet_of_another_instrument(write):
    head = "# Rater sheet, instrument dilemmas. Made up.\r\n"
    assert message_of(write(true_rows(), head=head)) == (
        "ann.csv: want a rater sheet of vignettes, got one of dilemmas"
    )
    said = message_of(write(true_rows()), instrument=load_instrument("vsm13"))
    assert said.startswith("vsm13-own has no rater sheet: ")


def test_sheet_is_read_on_its_own(write):
    sheet = read_rater_sheet(write(true_rows()), VIGNETTES)
    assert (sheet.rater, len(sheet.ratings)) == ("ann", 36)

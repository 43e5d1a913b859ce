"""The user's own wording: a template, filled in, imported, compared."""

import csv
import json

import numpy as np
import pytest

from hofsteer.instruments import load_instrument

VSM13 = load_instrument("vsm13")


def filled(text, change=lambda row: row, delimiter=","):
    """A template with a translation in every row."""
    rows = list(csv.DictReader(text.splitlines()))
    for row in rows:
        row["wording"] = f"سؤال {row['id']}؟"
    rows = [new for row in rows if (new := change(row)) is not None]
    lines = [delimiter.join(f'"{cell}"' for cell in rows[0])]
    lines += [delimiter.join('"' + (cell or "").replace('"', '""') + '"' for cell in row.values()) for row in rows]
    return "\n".join(lines) + "\n"


@pytest.fixture
def blank(hofsteer):
    result = hofsteer("instruments", "template", "vsm13")
    assert result.code == 0
    return result.out


def test_the_template_has_every_item_and_no_wording_filled_in(blank):
    rows = list(csv.DictReader(blank.splitlines()))
    assert [row["id"] for row in rows] == [item.id for item in (*VSM13.items, *VSM13.optional_items)]
    assert {row["wording"] for row in rows} == {""}
    assert rows[0]["example"] == VSM13.items[0].wordings[0]
    assert [rows[0][f"option_{k}"] for k in range(1, 6)] == [option.text for option in VSM13.items[0].options]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_an_imported_instrument_scores_as_ours(hofsteer, blank, tmp_path, delimiter):
    table = tmp_path / "mine.csv"
    table.write_text("\ufeff" + filled(blank, delimiter=delimiter), encoding="utf-8")
    made = hofsteer("instruments", "import", table, "--language", "ar", "--json").json()
    mine = load_instrument(tmp_path / "mine.toml")
    assert (made["instrument"], made["sha256"], mine.language) == ("mine", mine.hash, "ar")
    assert made["items"] == [item.id for item in (*VSM13.items, *VSM13.optional_items)]
    assert mine.items[6].wordings == ("سؤال Q7؟",)
    answers = np.random.default_rng([1, 2]).dirichlet(np.ones(5), size=24)
    assert mine.score(answers) == pytest.approx(VSM13.score(answers), abs=1e-10)
    assert mine.constants == VSM13.constants


def test_several_wordings_and_options_in_words_of_ones_own(hofsteer, blank, tmp_path):
    def change(row):
        return {**row, "wording_2": f"Once more {row['id']}", "option_1": f"top of {row['id']}"}

    (tmp_path / "mine.csv").write_text(filled(blank, change), encoding="utf-8")
    assert hofsteer("instruments", "import", tmp_path / "mine.csv").code == 0
    mine = load_instrument(tmp_path / "mine.toml")
    assert mine.items[0].wordings == ("سؤال Q1؟", "Once more Q1")
    assert mine.items[3].options[0].text == "top of Q4"
    assert mine.items[3].options[0].value == 1


def test_optional_items_may_be_left_empty(hofsteer, blank, tmp_path):
    def change(row):
        return {**row, "wording": "" if int(row["id"][1:]) > 24 else row["wording"]}

    (tmp_path / "mine.csv").write_text(filled(blank, change), encoding="utf-8")
    assert hofsteer("instruments", "import", tmp_path / "mine.csv").code == 0
    assert load_instrument(tmp_path / "mine.toml").optional_items == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: {**row, "wording": "" if row["id"] == "Q3" else "x"}, "line 4: item Q3 has no wording"),
        (lambda row: None if row["id"] == "Q5" else row, "want all 24 items of vsm13-own, Q5 is missing"),
        (lambda row: {**row, "id": row["id"].replace("Q9", "P9")}, "vsm13-own has no item 'P9'"),
        (lambda row: {**row, "id": row["id"].replace("Q9", "Q8")}, "line 10: item Q8 stands there twice"),
        (lambda row: {**row, "option_5": ""}, "item Q1 wants 5 options, since its values belong to them, got 4"),
        (lambda row: {k: v for k, v in row.items() if k != "wording"}, "wants a column 'wording', got id, construct"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(refused, blank, tmp_path, change, said):
    (tmp_path / "mine.csv").write_text(filled(blank, change), encoding="utf-8")
    assert said in refused("instruments", "import", tmp_path / "mine.csv")


def test_other_bad_input(refused, hofsteer, blank, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_bytes(filled(blank).encode("utf-16"))
    assert "is not UTF-8: save it as CSV UTF-8" in refused("instruments", "import", table)
    assert "cannot read" in refused("instruments", "import", tmp_path / "none.csv")
    table.write_text(filled(blank), encoding="utf-8")
    assert "want a name of its own" in refused("instruments", "import", table, "--name", "vsm13-own")
    assert hofsteer("instruments", "import", table).code == 0
    assert "is there already" in refused("instruments", "import", table)
    assert "somebody's texts may be in it" in refused("instruments", "template", "vsm13", "--out", table)


def test_two_wordings_are_compared_by_index(hofsteer, refused, blank, tiny_folder, tmp_path):
    def ours(row):
        return {**row, "wording": row["example"]}

    table = tmp_path / "same.csv"
    table.write_text(filled(blank, ours), encoding="utf-8")
    hofsteer("instruments", "import", table)
    other = tmp_path / "other.csv"
    other.write_text(filled(blank), encoding="utf-8")
    hofsteer("instruments", "import", other)
    compared = ("instruments", "compare", tmp_path / "other.toml", tmp_path / "same.toml", "--model", tiny_folder)
    found = hofsteer(*compared, "--as", "JPN", "--json").json()
    assert list(found["difference"]) == list(VSM13.dimension_ids)
    one, two = (wording["scores"] for wording in found["wordings"])
    assert found["difference"] == {d: pytest.approx(one[d] - two[d]) for d in one}
    assert found["wordings"][0]["wording_sha256"] != found["wordings"][1]["wording_sha256"]
    same = hofsteer(*compared[:3], tmp_path / "other.toml", *compared[4:], "--json").json()
    assert same["mean_absolute_difference"] == 0
    assert "difference" in hofsteer(*compared).out
    assert "want two wordings of one survey" in refused("instruments", "compare", tmp_path / "same.toml", "ivs10")


def test_results_carry_the_name_and_hash_of_the_wording(hofsteer, blank, tiny_folder, tmp_path):
    (tmp_path / "mine.csv").write_text(filled(blank), encoding="utf-8")
    hofsteer("instruments", "import", tmp_path / "mine.csv")
    mine = load_instrument(tmp_path / "mine.toml")
    quick = ("--budget", "4", "--set", "search.population_size=4", "--tokens", "1", "--set", 'orders=["listed"]')
    run = hofsteer(
        "align", "--model", tiny_folder, "--target", "JPN", "--instrument", tmp_path / "mine.toml",
        "--out", tmp_path / "run", *quick,
    )  # fmt: skip
    assert run.code == 0
    recorded = json.loads((tmp_path / "run" / "provenance.json").read_text(encoding="utf-8"))["instrument"]
    assert recorded == {"id": "mine", "sha256": mine.hash}

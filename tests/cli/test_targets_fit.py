import json

import numpy as np
import pytest


@pytest.fixture
def respondents(tmp_path):
    """Three groups of 80, 60 and 20 respondents; the answers of the second are higher."""
    rng = np.random.default_rng(3)
    items = [f"Q{i}" for i in range(1, 25)]
    rows = []
    for group, n, shift in (("JPN", 80, 0), ("USA", 60, 1), ("small", 20, 0)):
        for i in range(n):
            answers = np.clip(rng.integers(1, 5, size=24) + shift, 1, 5)
            rows.append(",".join([group, f"{1 + i % 2}", str(i % 4), *map(str, answers)]))
    path = tmp_path / "wave.csv"
    path.write_text("\n".join([",".join(["country", "w", "psu", *items]), *rows]) + "\n")
    return path


def test_from_respondents_to_a_target(hofsteer, respondents, tmp_path):
    out = tmp_path / "targets.csv"
    result = hofsteer("targets", "fit", respondents, "--group", "country", "--weights", "w", "--out", out, "--json")
    assert result.code == 0
    assert "no targets: small 20: effective n 18 below 50\n" in result.err
    table = result.json()
    assert [(g["group"], g["n"], g["target"]) for g in table["groups"]] == [
        ("JPN", 80, True),
        ("USA", 60, True),
        ("small", 20, False),
    ]
    assert table["groups"][0]["n_effective"] == pytest.approx(72)
    assert [line.split(",")[0] for line in out.read_text().splitlines()] == ["group", "JPN", "USA"]
    asked = hofsteer("survey", "--model", "mini", "--target", f"{out}:JPN", "--json").json()
    assert (asked["target"], asked["constants"]) == ("targets.csv:JPN", "midpoint")
    assert (asked["n"], list(asked["standard_errors"])) == (80, list(asked["scores"]))

    kept = json.loads((tmp_path / "targets.items.json").read_text())
    assert list(kept["groups"]) == ["JPN", "USA"]
    assert kept["groups"]["JPN"] == table["groups"][0]["items"]
    assert sum(kept["groups"]["JPN"]["Q1"]["shares"]) == pytest.approx(1)
    shares = np.array([item["probabilities"] for item in asked["items"].values()])
    goal = np.array([kept["groups"]["JPN"][item]["shares"] for item in asked["items"]])
    steps = np.abs((shares - goal).cumsum(axis=1)[:, :-1]).sum(axis=1) / 4
    assert asked["item_losses"]["wasserstein"] == pytest.approx(100 * steps.mean())
    said = " ".join(hofsteer("survey", "--model", "mini", "--target", f"{out}:JPN").out.split())
    assert f"item losses W1 {100 * steps.mean():.1f}, JS" in said


def test_shown(hofsteer, respondents):
    shown = hofsteer("targets", "fit", respondents, "--group", "country", "--cluster", "psu")
    assert "never a target" in " ".join(shown.out.split())
    assert "mean over the groups: equal-groups" in shown.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--group", "nation"], "want column 'nation'"),
        (["--group", "country", "--estimator", "boot"], "want --estimator linearised or bootstrap"),
        (["--group", "country", "--out", "x.toml"], "want --out as a file that ends with .csv, got x.toml"),
        (["--group", "country", "--out", "no/x.csv"], "got no/x.csv: there is no no"),
        (["--group", "country", "--out", "../wave.csv"], "as a new file, got ../wave.csv: wave.csv is there already"),
        (["--group", "country", "--out", "../there.csv"], "got ../there.csv: there.items.json is there already"),
        (["--group", "country", "--missing", "x"], "want --missing as numbers"),
        (["--group", "country", "--instrument", "ivs10"], "want columns with items of ivs10"),
    ],
)
def test_refused(options, said, refused, respondents):
    respondents.with_name("there.items.json").write_text("{}")
    assert said in refused("targets", "fit", respondents, *options)


def test_why_groups_are_no_targets(refused, hofsteer, respondents):
    rows = [line.split(",") for line in respondents.read_text().splitlines()]
    respondents.write_text("\n".join(",".join(row[:11]) for row in rows) + "\n")  # Q1 to Q8
    command = ("targets", "fit", respondents, "--group", "country")
    assert refused(*command) == (
        "wave.csv: want two groups or more with a score and an effective n of 50 or more, got 0: JPN 80: no score, no "
        "column for Q9, Q10, ...; USA 60: no score, no column for Q9, Q10, ...; small 20: no score, no column for Q9, "
        "Q10, ..., effective n 20 below 50 (instrument vsm13-own; name another with --instrument)"
    )
    blank = [rows[0], *([*row[:3], *[""] * 20, *row[23:]] for row in rows[1:])]  # Q1 to Q20 were never answered
    respondents.write_text("\n".join(map(",".join, blank)) + "\n")
    assert "JPN 80: no score, no answer to Q1, Q2, ...; USA 60" in refused(*command)
    blank = [rows[0], *([*row[:4], "", *row[5:]] for row in rows[1:])]
    respondents.write_text("\n".join(map(",".join, blank)) + "\n")
    assert "no answers to Q2: dimensions that need them have no score" in hofsteer(*command).err


def test_groups_of_one_cluster(hofsteer, respondents, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = hofsteer("targets", "fit", respondents, "--group", "country", "--cluster", "country")
    assert shown.err.count("single cluster") == 1
    assert "warning: JPN, USA have a single cluster: no standard errors\n" in shown.err
    (row,) = [line for line in shown.out.splitlines() if "JPN" in line]
    assert row.count("± - (-)") == 6
    table = hofsteer("targets", "fit", respondents, "--group", "country", "--cluster", "country", "--json").json()
    assert set(table["groups"][0]["standard_errors"].values()) == {None}


def test_an_answer_that_is_no_option(refused, respondents):
    lines = respondents.read_text().splitlines()
    lines[1] = ",".join(["JPN", "1", "0", "9", *lines[1].split(",")[4:]])
    respondents.write_text("\n".join(lines) + "\n")
    said = refused("targets", "fit", respondents, "--group", "country")
    assert said.startswith("wave.csv row 2, column Q1: want one of 1, 2, 3, 4, 5, got 9; name it with --missing")


def test_a_file_in_utf_16(hofsteer, refused, respondents):
    respondents.write_text(respondents.read_text().replace("JPN", "Süd"), encoding="utf-16")
    command = ("targets", "fit", respondents, "--group", "country")
    assert refused(*command).endswith("name the encoding with --encoding, utf-16")
    found = hofsteer(*command, "--encoding", "utf-16", "--json").json()
    assert [one["group"] for one in found["groups"]] == ["Süd", "USA", "small"]


@pytest.fixture
def table(hofsteer, respondents, tmp_path):
    """A table of targets with item distributions."""
    out = tmp_path / "targets.csv"
    assert hofsteer("targets", "fit", respondents, "--group", "country", "--weights", "w", "--out", out).code == 0
    return out


def test_a_group_is_shown(hofsteer, table):
    found = hofsteer("targets", "show", f"{table}:japan", "--json").json()
    assert (found["code"], found["name"], found["n"], found["n_effective"]) == ("targets.csv:JPN", "Japan", 80, 72.0)
    assert (found["nearest"]["code"], found["constants"]) == ("targets.csv:USA", "midpoint")
    other = hofsteer("targets", "show", f"{table}:USA", "--json").json()
    assert found["nearest"]["item_losses"] == pytest.approx(other["nearest"]["item_losses"])  # they are symmetric
    assert found["nearest"]["item_losses"]["wasserstein"] == pytest.approx(25, abs=4)  # answers one step of four higher
    assert found["items"]["items"]["Q1"]["options"] == [1, 2, 3, 4, 5]
    said = " ".join(hofsteer("targets", "show", f"{table}:JPN").out.split())
    losses, floors = found["nearest"]["item_losses"], found["item_noise_floors"]
    assert f"item losses W1 {losses['wasserstein']:.1f}, JS {losses['jensen-shannon']:.1f}" in said
    assert f"differ by W1 {floors['wasserstein']:.1f}, JS {floors['jensen-shannon']:.1f} on average" in said
    assert "respondents: 80 (effective 72); standard errors: PDI" in said


def test_a_group_without_distributions_is_shown(hofsteer, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("group,PDI,IDV\nnorth,40,50\nsouth,80,\n")
    found = hofsteer("targets", "show", f"{path}:north", "--json")
    assert found.code == 2  # the south lacks a score that the north has
    path.write_text("group,PDI,IDV\nnorth,40,50\nsouth,80,20\n")
    table = hofsteer("targets", "show", f"{path}:north", "--json").json()
    assert (table["items"], table["item_noise_floors"], table["nearest"]["item_losses"]) == (None, {}, {})
    assert table["missing"] == ["MAS", "UAI", "LTO", "IVR"]
    said = hofsteer("targets", "show", f"{path}:north").out
    assert "item distributions: none are kept of it" in said
    assert "constants: unknown" in said
    assert "persona: You belong to the group north." in said
    assert table["persona"] == "You belong to the group north."


def test_show_refuses(refused, table):
    assert "want one group 'JPM'" in refused("targets", "show", f"{table}:JPM")
    assert "--instrument is for a table FILE.csv:GROUP" in refused("targets", "show", "JPN", "--instrument", "vsm13")
    assert "scores on SSE, TSR" in refused("targets", "show", f"{table}:JPN", "--instrument", "ivs10")


def test_a_table_of_something_else(refused, respondents, table):
    another = "; these are scores on another instrument: name it with --instrument"
    assert refused("targets", "show", f"{table}:JPN", "--instrument", "ivs10").endswith(another)
    respond = "; these look like respondents: `hofsteer targets fit` makes the table"
    assert refused("targets", "show", f"{respondents}:JPN").endswith(f"Q8, Q9, ...{respond}")
    respondents.write_text(respondents.read_text().replace("country", "group"))
    assert refused("targets", "show", f"{respondents}:JPN").endswith(respond)
    table.write_text(table.read_text().replace("group", "nation"))  # scores on this one, and no group
    assert "these" not in refused("targets", "show", f"{table}:JPN")


def test_align_to_whole_distributions(hofsteer, tiny_folder, table, tmp_path):
    quick = ("--set", "search.population_size=4", "--budget", "12", "--tokens", "2", "--set", "wordings=[0]")
    options = ("--target", f"{table}:JPN", "--loss", "jensen-shannon", "--out", tmp_path / "run", *quick)
    found = hofsteer("align", "--model", tiny_folder, *options, "--json").json()
    assert (found["minimised"], found["n"]) == ("jensen-shannon", 80)
    assert found["item_losses"]["aligned"]["jensen-shannon"] < found["item_losses"]["naive"]["jensen-shannon"]
    assert hofsteer("resume", tmp_path / "run", "--json").json() == found
    said = " ".join(hofsteer("resume", tmp_path / "run").out.split())
    assert "JS index loss W1 skill" in said
    assert "By the index loss, which was not minimised, " in said


def test_align_refuses_item_losses_of_published_scores(refused, tiny_folder):
    said = refused("align", "--model", tiny_folder, "--target", "JPN", "--loss", "wasserstein")
    assert said.startswith("objective.loss = 'wasserstein' wants a target with item distributions")
    assert said.endswith("JPN has scores alone")
    assert "wasserstein" in refused("align", "--model", tiny_folder, "--target", "JPN", "--loss", "wasser")


@pytest.mark.slow
def test_methods_are_compared_for_groups_of_a_table_in_another_folder(hofsteer, tiny_folder, table, tmp_path):
    options = ("--methods", "naive,persona,de", "--seeds", "1", "--budget", "8", "--out", tmp_path / "all", "--json")
    quick = ("--set", "search.population_size=4", "--set", "space.tokens=2", "--set", "wordings=[0]")
    asked = ("compare", "--model", tiny_folder, "--targets", "../targets.csv:JPN,../targets.csv:USA,CHN", *options)
    found = hofsteer(*asked, *quick, "--set", "constants=midpoint").json()
    assert found["targets"] == ["targets.csv:JPN", "targets.csv:USA", "CHN"]
    cells = {(cell["target"], cell["method"]): cell for cell in found["cells"]}
    for method in ("naive", "persona", "de"):
        assert set(cells["targets.csv:JPN", method]["item_losses"]) == {"wasserstein", "jensen-shannon"}
        assert cells["CHN", method]["item_losses"] == {}  # nothing is published of its answers
    form = ("--model", tiny_folder, "--target", f"{table}:USA", "--json")
    losses = [
        hofsteer("survey", *form, "--wording", w, "--order", order).json()["item_losses"]["wasserstein"]
        for w in range(1, 8)
        for order in ("listed", "reversed")
    ]
    assert cells["targets.csv:USA", "naive"]["item_losses"]["wasserstein"] == pytest.approx(np.mean(losses), abs=1e-3)
    page = (tmp_path / "all" / "table.md").read_text(encoding="utf-8")
    assert "Item losses on held-out forms, 0 to 100: W1 | JS." in page
    assert "| method | targets.csv:JPN | targets.csv:USA |" in page
    assert page.count("| noise floor | ") == 2  # of scores, and of item distributions
    head, *rows = (tmp_path / "all" / "cells.csv").read_text(encoding="utf-8").splitlines()
    assert head.endswith(",wasserstein,jensen-shannon")
    assert sum(not row.endswith(",,") for row in rows) == 6
    assert hofsteer(*asked, *quick, "--set", "constants=midpoint").json() == found  # gone on with: all is there


def test_tables_of_one_name_are_not_compared(refused, table, tmp_path):
    (tmp_path / "other").mkdir()
    for path in (table, table.with_suffix(".items.json")):
        (tmp_path / "other" / path.name).write_bytes(path.read_bytes())
    said = refused("compare", "--targets", "../targets.csv:JPN,../other/targets.csv:JPN", "--methods", "naive")
    assert said == "want tables of different file names, got ../targets.csv:JPN and ../other/targets.csv:JPN"

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
    assert "no targets, for an effective n below 50 or no score: small (18)" in result.err
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


def test_shown(hofsteer, respondents):
    shown = hofsteer("targets", "fit", respondents, "--group", "country", "--cluster", "psu")
    assert "never a target" in " ".join(shown.out.split())
    assert "mean over the groups: equal-groups" in shown.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--group", "nation"], "want column 'nation'"),
        (["--group", "country", "--estimator", "boot"], "want --estimator linearised or bootstrap"),
        (["--group", "country", "--out", "x.toml"], "ends with .csv"),
        (["--group", "country", "--missing", "x"], "want --missing as numbers"),
        (["--group", "country", "--instrument", "ivs10"], "want columns with items of ivs10"),
    ],
)
def test_refused(options, said, refused, respondents):
    assert said in refused("targets", "fit", respondents, *options)


def test_an_answer_that_is_no_option(refused, respondents):
    lines = respondents.read_text().splitlines()
    lines[1] = ",".join(["JPN", "1", "0", "9", *lines[1].split(",")[4:]])
    respondents.write_text("\n".join(lines) + "\n")
    said = refused("targets", "fit", respondents, "--group", "country")
    assert said.startswith("wave.csv row 2, column Q1: want one of 1, 2, 3, 4, 5, got 9; name it with --missing")

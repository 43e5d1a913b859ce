"""`hofsteer instruments invariance`."""

import csv

import numpy as np
import pytest


def write(path, groups, bias=0.0):
    """Write answers to six items: groups as (name, n, whether its factors are others); `bias` shifts q1 of the last."""
    rng = np.random.default_rng([1, 9])
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["country", *(f"q{i}" for i in range(1, 7))])
        for name, n, other in groups:
            loadings = np.repeat(np.eye(2), 3, axis=0)
            loadings = loadings[[0, 3, 1, 4, 2, 5]] if other else loadings
            answers = 4 + rng.normal(size=(n, 2)) @ loadings.T + 0.6 * rng.normal(size=(n, 6))
            answers[:, 0] += bias * (name == groups[-1][0])
            table.writerows([name, *row] for row in np.clip(answers.round(), 1, 7).astype(int).tolist())
    return path


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "a.csv", [("G0", 250, False), ("G1", 250, False), ("G2", 250, True)])


def said(hofsteer, path):
    result = hofsteer("instruments", "invariance", path, "--group", "country", "--factors", "2")
    assert result.code == 0
    return " ".join(result.out.split())


def test_only_tested_groups_agree_and_biased_items_come_first(hofsteer, tmp_path):
    groups = [("Tiny", 20, False), ("North", 250, False), ("South", 250, False)]
    even = said(hofsteer, write(tmp_path / "even.csv", groups))
    assert even.endswith(
        "Factors of North, South agree; Tiny was not tested. Differences beyond their standard errors may be read."
    )
    biased = said(hofsteer, write(tmp_path / "biased.csv", groups, bias=0.8))
    assert biased.endswith("may be read, once the items marked above (q1) have been looked at.")


def test_one_tested_group_is_not_compared(hofsteer, tmp_path):
    text = said(hofsteer, write(tmp_path / "one.csv", [("Tiny", 20, False), ("North", 250, False)]))
    assert text.endswith("North alone was tested: there is no group to compare it with; Tiny was not tested.")


def test_without_tested_groups_there_is_no_table(hofsteer, tmp_path):
    path = write(tmp_path / "none.csv", [("A", 60, False), ("B", 99, False)])
    text = said(hofsteer, path)
    assert text.startswith("No group was tested, so neither congruence nor bias is shown")
    assert "fewer than 100 respondents" in text
    assert "uniform" not in text
    table = hofsteer("instruments", "invariance", path, "--group", "country", "--factors", "2", "--json").json()
    assert (table["too_few"], set(table["bias"].values())) == (["A", "B"], {None})


def test_other_encodings(hofsteer, refused, tmp_path):
    path = write(tmp_path / "a.csv", [("Süd", 120, False), ("Nord", 120, False)])
    text = path.read_text(encoding="utf-8")
    command = ("instruments", "invariance", path, "--group", "country", "--factors", "2")
    for encoding, named in (("cp1252", "such as cp1252"), ("utf-16", "utf-16")):
        path.write_text(text, encoding=encoding)
        assert refused(*command).endswith(f"name the encoding with --encoding, {named}")
        assert "Süd" in hofsteer(*command, "--encoding", encoding).out


def test_where_factors_differ_nobody_is_higher(hofsteer, data):
    result = hofsteer("instruments", "invariance", data, "--group", "country", "--factors", "2")
    assert result.code == 0
    assert "not put in an order" in " ".join(result.out.split())
    assert "may be read" not in result.out
    table = hofsteer("instruments", "invariance", data, "--group", "country", "--factors", "2", "--json").json()
    assert table["fails"] == ["G2"]
    assert set(table["bias"]) == {f"q{i}" for i in range(1, 7)}


def test_codes_that_nobody_declared(hofsteer, data):
    rows = data.read_text().splitlines()
    data.write_text("\n".join([*rows, *["G0,99,4,4,4,4,4"] * 12]) + "\n")
    result = hofsteer("instruments", "invariance", data, "--group", "country", "--factors", "2")
    assert "q1 counts 99 (12 rows) as an answer: name it with --missing 99" in result.err


def test_refused(refused, data):
    command = ("instruments", "invariance", data, "--factors", "2")
    assert "did you mean 'country'" in refused(*command, "--group", "countri")
    assert "want --missing as numbers" in refused(*command, "--group", "country", "--missing", "x")
    assert "factors for 6 items, got 9" in refused(*command[:-1], "9", "--group", "country")

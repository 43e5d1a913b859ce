"""`hofsteer instruments invariance`."""

import csv

import numpy as np
import pytest


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng([1, 9])
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["country", *(f"q{i}" for i in range(1, 7))])
        for group in range(3):
            loadings = np.repeat(np.eye(2), 3, axis=0)
            loadings = loadings[[0, 3, 1, 4, 2, 5]] if group == 2 else loadings
            answers = 4 + rng.normal(size=(250, 2)) @ loadings.T + 0.6 * rng.normal(size=(250, 6))
            table.writerows([f"G{group}", *row] for row in np.clip(answers.round(), 1, 7).astype(int).tolist())
    return path


def test_where_factors_differ_nobody_is_higher(hofsteer, data):
    result = hofsteer("instruments", "invariance", data, "--group", "country", "--factors", "2")
    assert result.code == 0
    assert "not put in an order" in " ".join(result.out.split())
    assert "higher than" not in result.out
    table = hofsteer("instruments", "invariance", data, "--group", "country", "--factors", "2", "--json").json()
    assert table["fails"] == ["G2"]
    assert set(table["bias"]) == {f"q{i}" for i in range(1, 7)}


def test_refused(refused, data):
    command = ("instruments", "invariance", data, "--factors", "2")
    assert "did you mean 'country'" in refused(*command, "--group", "countri")
    assert "want --missing as numbers" in refused(*command, "--group", "country", "--missing", "x")
    assert "factors for 6 items, got 9" in refused(*command[:-1], "9", "--group", "country")

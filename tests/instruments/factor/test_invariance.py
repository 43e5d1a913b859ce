"""Groups of one structure agree; a group of another, and an item that favours a group, are found."""

import csv

import numpy as np
import pytest

from hofsteer.instruments.factor.invariance import SAME_FACTOR, invariance
from hofsteer.instruments.factor.sample import take_sample
from hofsteer.instruments.microdata_files import read_microdata

ITEMS = [f"q{i}" for i in range(1, 9)]  # four on each of two factors


def respondents(path, n=300, groups=4, other=None, biased=None, slope=None):
    """Write answers on 1 to 7; `other` groups mix the factors, `biased` adds two steps to q1 in group 0."""
    rng = np.random.default_rng([groups, n, 5])
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["country", *ITEMS])
        for group in range(groups):
            loadings = np.zeros((8, 2))
            loadings[:4, 0] = loadings[4:, 1] = 0.8
            if group == other:
                loadings = loadings[[0, 4, 1, 5, 2, 6, 3, 7]]
            scores = rng.normal(size=(n, 2)) + rng.normal(0, 0.4, 2)
            answers = 4 + 1.3 * (scores @ loadings.T + 0.6 * rng.normal(size=(n, 8)))
            if group == biased:
                answers[:, 0] += 2
            if group == slope:
                answers[:, 0] = 8 - answers[:, 0]
            table.writerows([f"G{group}", *row] for row in np.clip(answers.round(), 1, 7).astype(int).tolist())
    return path


def found(path, factors=2):
    return invariance(take_sample(read_microdata(path), ITEMS, None, "country"), factors)


def test_one_structure(tmp_path):
    result = found(respondents(tmp_path / "a.csv"))
    assert set(result.congruences) == {"G0", "G1", "G2", "G3"}
    assert min(values.min() for values in result.congruences.values()) > 0.97
    assert result.fails == result.too_few == ()
    assert not any(bias.notable for bias in result.bias)
    assert len({bias.factor for bias in result.bias[:4]}) == 1


def test_a_group_of_another_structure_fails(tmp_path):
    result = found(respondents(tmp_path / "a.csv", other=2))
    assert result.fails == ("G2",)
    assert result.congruences["G2"].min() < SAME_FACTOR < result.congruences["G1"].min()


def test_an_item_that_favours_a_group_and_one_that_is_turned_round(tmp_path):
    shifted = found(respondents(tmp_path / "a.csv", biased=0)).bias
    assert shifted[0].notable
    assert shifted[0].uniform > 0.1 > shifted[0].non_uniform
    assert max(bias.uniform for bias in shifted[1:]) < shifted[0].uniform / 2  # it is part of the others' rest scores
    turned = found(respondents(tmp_path / "b.csv", slope=0)).bias
    assert turned[0].non_uniform > 0.1


def test_bias_is_that_of_statsmodels(tmp_path):
    """R2 of nested least squares by formula."""
    formulas = pytest.importorskip("statsmodels.formula.api", reason="statsmodels is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    path = respondents(tmp_path / "a.csv", biased=0)
    frame = pandas.read_csv(path)
    standard = (frame[ITEMS] - frame[ITEMS].mean()) / frame[ITEMS].std(ddof=0)
    frame["y"], frame["rest"] = standard["q1"], standard[["q2", "q3", "q4"]].mean(axis=1)
    shares = [formulas.ols(f"y ~ {m}", frame).fit().rsquared for m in ("rest", "rest + country", "rest * country")]
    bias = found(path).bias[0]
    assert bias.uniform == pytest.approx(shares[1] - shares[0], abs=1e-9)
    assert bias.non_uniform == pytest.approx(shares[2] - shares[1], abs=1e-9)


def test_small_groups_are_named(tmp_path):
    result = found(respondents(tmp_path / "a.csv", n=60))
    assert result.congruences == {}
    assert result.too_few == ("G0", "G1", "G2", "G3")


def test_one_factor_is_turned_by_its_sign(tmp_path):
    sample = take_sample(read_microdata(respondents(tmp_path / "a.csv")), ITEMS[:4], None, "country")
    assert min(values.min() for values in invariance(sample, 1).congruences.values()) > 0.97
